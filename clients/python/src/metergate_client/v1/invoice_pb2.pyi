import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Money(_message.Message):
    __slots__ = ("currency", "minor_units", "text")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    currency: str
    minor_units: int
    text: str
    def __init__(self, currency: _Optional[str] = ..., minor_units: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class BillingDetails(_message.Message):
    __slots__ = ("name", "address", "country", "region", "email", "tax_ids", "tax_rates", "tax_exempt", "notes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TAX_IDS_FIELD_NUMBER: _ClassVar[int]
    TAX_RATES_FIELD_NUMBER: _ClassVar[int]
    TAX_EXEMPT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: _containers.RepeatedScalarFieldContainer[str]
    country: str
    region: str
    email: str
    tax_ids: _containers.RepeatedScalarFieldContainer[str]
    tax_rates: _containers.RepeatedScalarFieldContainer[str]
    tax_exempt: bool
    notes: str
    def __init__(self, name: _Optional[str] = ..., address: _Optional[_Iterable[str]] = ..., country: _Optional[str] = ..., region: _Optional[str] = ..., email: _Optional[str] = ..., tax_ids: _Optional[_Iterable[str]] = ..., tax_rates: _Optional[_Iterable[str]] = ..., tax_exempt: _Optional[bool] = ..., notes: _Optional[str] = ...) -> None: ...

class InvoiceSeller(_message.Message):
    __slots__ = ("name", "address", "tax_ids", "email", "notes", "payment_instructions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TAX_IDS_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: _containers.RepeatedScalarFieldContainer[str]
    tax_ids: _containers.RepeatedScalarFieldContainer[str]
    email: str
    notes: str
    payment_instructions: str
    def __init__(self, name: _Optional[str] = ..., address: _Optional[_Iterable[str]] = ..., tax_ids: _Optional[_Iterable[str]] = ..., email: _Optional[str] = ..., notes: _Optional[str] = ..., payment_instructions: _Optional[str] = ...) -> None: ...

class InvoiceLine(_message.Message):
    __slots__ = ("number", "kind", "description", "amount", "start_time", "end_time", "plan", "version", "price", "meter", "labels", "quantity", "unit_amount", "flat_amount", "tier", "discount", "why", "rated_quantity")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[InvoiceLine.Kind]
        KIND_FLAT: _ClassVar[InvoiceLine.Kind]
        KIND_ONE_OFF: _ClassVar[InvoiceLine.Kind]
        KIND_USAGE: _ClassVar[InvoiceLine.Kind]
        KIND_MINIMUM: _ClassVar[InvoiceLine.Kind]
        KIND_MAXIMUM: _ClassVar[InvoiceLine.Kind]
        KIND_PRORATION: _ClassVar[InvoiceLine.Kind]
        KIND_LATE: _ClassVar[InvoiceLine.Kind]
        KIND_CARRIED: _ClassVar[InvoiceLine.Kind]
        KIND_UNBILLED: _ClassVar[InvoiceLine.Kind]
    KIND_UNSPECIFIED: InvoiceLine.Kind
    KIND_FLAT: InvoiceLine.Kind
    KIND_ONE_OFF: InvoiceLine.Kind
    KIND_USAGE: InvoiceLine.Kind
    KIND_MINIMUM: InvoiceLine.Kind
    KIND_MAXIMUM: InvoiceLine.Kind
    KIND_PRORATION: InvoiceLine.Kind
    KIND_LATE: InvoiceLine.Kind
    KIND_CARRIED: InvoiceLine.Kind
    KIND_UNBILLED: InvoiceLine.Kind
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FLAT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    RATED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: InvoiceLine.Kind
    description: str
    amount: Money
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    plan: str
    version: int
    price: str
    meter: str
    labels: _containers.ScalarMap[str, str]
    quantity: str
    unit_amount: str
    flat_amount: str
    tier: int
    discount: Money
    why: str
    rated_quantity: str
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[_Union[InvoiceLine.Kind, str]] = ..., description: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., plan: _Optional[str] = ..., version: _Optional[int] = ..., price: _Optional[str] = ..., meter: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., quantity: _Optional[str] = ..., unit_amount: _Optional[str] = ..., flat_amount: _Optional[str] = ..., tier: _Optional[int] = ..., discount: _Optional[_Union[Money, _Mapping]] = ..., why: _Optional[str] = ..., rated_quantity: _Optional[str] = ...) -> None: ...

class InvoiceTax(_message.Message):
    __slots__ = ("name", "display_name", "percent", "inclusive", "taxable", "amount")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    INCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    TAXABLE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    percent: str
    inclusive: bool
    taxable: Money
    amount: Money
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., percent: _Optional[str] = ..., inclusive: _Optional[bool] = ..., taxable: _Optional[_Union[Money, _Mapping]] = ..., amount: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class Invoice(_message.Message):
    __slots__ = ("id", "number", "customer", "subscription", "currency", "start_time", "end_time", "state", "lines", "seq", "subtotal", "discount", "taxes", "total", "paid", "credited", "due", "create_time", "scheduled_finalize_time", "finalize_time", "due_time", "pay_time", "void_time", "seller", "buyer", "notes", "metadata")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Invoice.State]
        STATE_DRAFT: _ClassVar[Invoice.State]
        STATE_OPEN: _ClassVar[Invoice.State]
        STATE_PAID: _ClassVar[Invoice.State]
        STATE_VOID: _ClassVar[Invoice.State]
        STATE_UNCOLLECTIBLE: _ClassVar[Invoice.State]
    STATE_UNSPECIFIED: Invoice.State
    STATE_DRAFT: Invoice.State
    STATE_OPEN: Invoice.State
    STATE_PAID: Invoice.State
    STATE_VOID: Invoice.State
    STATE_UNCOLLECTIBLE: Invoice.State
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SUBTOTAL_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    TAXES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    CREDITED_FIELD_NUMBER: _ClassVar[int]
    DUE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FINALIZE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINALIZE_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    PAY_TIME_FIELD_NUMBER: _ClassVar[int]
    VOID_TIME_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    BUYER_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: str
    customer: str
    subscription: str
    currency: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    state: Invoice.State
    lines: _containers.RepeatedCompositeFieldContainer[InvoiceLine]
    seq: int
    subtotal: Money
    discount: Money
    taxes: _containers.RepeatedCompositeFieldContainer[InvoiceTax]
    total: Money
    paid: Money
    credited: Money
    due: Money
    create_time: _timestamp_pb2.Timestamp
    scheduled_finalize_time: _timestamp_pb2.Timestamp
    finalize_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    pay_time: _timestamp_pb2.Timestamp
    void_time: _timestamp_pb2.Timestamp
    seller: InvoiceSeller
    buyer: BillingDetails
    notes: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., number: _Optional[str] = ..., customer: _Optional[str] = ..., subscription: _Optional[str] = ..., currency: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[Invoice.State, str]] = ..., lines: _Optional[_Iterable[_Union[InvoiceLine, _Mapping]]] = ..., seq: _Optional[int] = ..., subtotal: _Optional[_Union[Money, _Mapping]] = ..., discount: _Optional[_Union[Money, _Mapping]] = ..., taxes: _Optional[_Iterable[_Union[InvoiceTax, _Mapping]]] = ..., total: _Optional[_Union[Money, _Mapping]] = ..., paid: _Optional[_Union[Money, _Mapping]] = ..., credited: _Optional[_Union[Money, _Mapping]] = ..., due: _Optional[_Union[Money, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_finalize_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finalize_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pay_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., void_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seller: _Optional[_Union[InvoiceSeller, _Mapping]] = ..., buyer: _Optional[_Union[BillingDetails, _Mapping]] = ..., notes: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreditLine(_message.Message):
    __slots__ = ("line", "amount", "description", "quantity")
    LINE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    line: int
    amount: Money
    description: str
    quantity: str
    def __init__(self, line: _Optional[int] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., description: _Optional[str] = ..., quantity: _Optional[str] = ...) -> None: ...

class CreditNote(_message.Message):
    __slots__ = ("id", "number", "invoice", "customer", "lines", "taxes", "total", "reason", "create_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TAXES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: str
    invoice: str
    customer: str
    lines: _containers.RepeatedCompositeFieldContainer[CreditLine]
    taxes: _containers.RepeatedCompositeFieldContainer[InvoiceTax]
    total: Money
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., number: _Optional[str] = ..., invoice: _Optional[str] = ..., customer: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[CreditLine, _Mapping]]] = ..., taxes: _Optional[_Iterable[_Union[InvoiceTax, _Mapping]]] = ..., total: _Optional[_Union[Money, _Mapping]] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("id", "invoice", "amount", "method", "reference", "pay_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAY_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    invoice: str
    amount: Money
    method: str
    reference: str
    pay_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., invoice: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., method: _Optional[str] = ..., reference: _Optional[str] = ..., pay_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
