import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubjectMove(_message.Message):
    __slots__ = ("subject", "from_customer", "from_seq", "to_customer", "to_seq", "create_time", "merged", "service", "key_id")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    FROM_CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    TO_CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    subject: str
    from_customer: str
    from_seq: int
    to_customer: str
    to_seq: int
    create_time: _timestamp_pb2.Timestamp
    merged: bool
    service: str
    key_id: str
    def __init__(self, subject: _Optional[str] = ..., from_customer: _Optional[str] = ..., from_seq: _Optional[int] = ..., to_customer: _Optional[str] = ..., to_seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., merged: _Optional[bool] = ..., service: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class MoveSubjectRequest(_message.Message):
    __slots__ = ("subject", "customer", "request_id")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    subject: str
    customer: str
    request_id: str
    def __init__(self, subject: _Optional[str] = ..., customer: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class MoveSubjectResponse(_message.Message):
    __slots__ = ("move",)
    MOVE_FIELD_NUMBER: _ClassVar[int]
    move: SubjectMove
    def __init__(self, move: _Optional[_Union[SubjectMove, _Mapping]] = ...) -> None: ...

class MergeCustomersRequest(_message.Message):
    __slots__ = ("customer", "into", "request_id")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer: str
    into: str
    request_id: str
    def __init__(self, customer: _Optional[str] = ..., into: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class MergeCustomersResponse(_message.Message):
    __slots__ = ("moved_subjects",)
    MOVED_SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    moved_subjects: int
    def __init__(self, moved_subjects: _Optional[int] = ...) -> None: ...

class ListSubjectMovesRequest(_message.Message):
    __slots__ = ("customer", "subject", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    subject: str
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., subject: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSubjectMovesResponse(_message.Message):
    __slots__ = ("moves", "next_page_token")
    MOVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    moves: _containers.RepeatedCompositeFieldContainer[SubjectMove]
    next_page_token: str
    def __init__(self, moves: _Optional[_Iterable[_Union[SubjectMove, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExportCustomerRequest(_message.Message):
    __slots__ = ("customer", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ExportCustomerResponse(_message.Message):
    __slots__ = ("lines", "next_page_token")
    LINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, lines: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Erasure(_message.Message):
    __slots__ = ("id", "customer", "erase_dimensions", "erase_event_ids", "new_id", "service", "key_id", "create_time", "finish_time", "rows")
    class RowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ERASE_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    ERASE_EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    NEW_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    erase_dimensions: bool
    erase_event_ids: bool
    new_id: str
    service: str
    key_id: str
    create_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    rows: _containers.ScalarMap[str, int]
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., erase_dimensions: _Optional[bool] = ..., erase_event_ids: _Optional[bool] = ..., new_id: _Optional[str] = ..., service: _Optional[str] = ..., key_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[_Mapping[str, int]] = ...) -> None: ...

class EraseCustomerRequest(_message.Message):
    __slots__ = ("customer", "erase_dimensions", "erase_event_ids", "new_id", "request_id")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ERASE_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    ERASE_EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    NEW_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer: str
    erase_dimensions: bool
    erase_event_ids: bool
    new_id: str
    request_id: str
    def __init__(self, customer: _Optional[str] = ..., erase_dimensions: _Optional[bool] = ..., erase_event_ids: _Optional[bool] = ..., new_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class EraseCustomerResponse(_message.Message):
    __slots__ = ("erasure",)
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    erasure: Erasure
    def __init__(self, erasure: _Optional[_Union[Erasure, _Mapping]] = ...) -> None: ...

class ListErasuresRequest(_message.Message):
    __slots__ = ("customer", "page_size", "page_token")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer: str
    page_size: int
    page_token: str
    def __init__(self, customer: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListErasuresResponse(_message.Message):
    __slots__ = ("erasures", "next_page_token")
    ERASURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    erasures: _containers.RepeatedCompositeFieldContainer[Erasure]
    next_page_token: str
    def __init__(self, erasures: _Optional[_Iterable[_Union[Erasure, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
