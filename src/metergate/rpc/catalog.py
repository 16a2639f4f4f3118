"""CatalogService: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.catalog.apply import Applied, ApplyCatalog
from metergate.app.directory import Directory
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.money import check_currency
from metergate.domain.price_list import price_list
from metergate.rpc.call import Call
from metergate.rpc.convert_catalog import from_pb_catalog, from_pb_limit, to_pb_catalog, to_pb_change, to_pb_limit
from metergate.rpc.convert_price import from_pb_interval
from metergate.rpc.convert_price_list import to_pb_entry
from metergate.rpc.pages import once
from metergate.v1 import catalog_pb2


@dataclass(frozen=True, slots=True)
class CatalogService:
    """The servicer."""

    apply: ApplyCatalog
    directory: Directory

    async def ApplyCatalog(
        self, request: catalog_pb2.ApplyCatalogRequest, call: Call
    ) -> catalog_pb2.ApplyCatalogResponse:
        """Replaces the catalog, or says what that would change."""

        def encode(applied: Applied) -> catalog_pb2.ApplyCatalogResponse:
            changes = [to_pb_change(change) for change in applied.changes]
            return catalog_pb2.ApplyCatalogResponse(changes=changes, version=applied.catalog.version)

        first = None if request.dry_run else once(request, "ApplyCatalog", encode)
        new = from_pb_catalog(request.catalog)
        applied = await self.apply.apply(call.caller, new, request.dry_run, first)
        if first is not None and first.answer is not None:
            return catalog_pb2.ApplyCatalogResponse.FromString(first.answer)
        return encode(applied)

    async def GetCatalog(self, request: catalog_pb2.GetCatalogRequest, call: Call) -> catalog_pb2.GetCatalogResponse:
        """The catalog in force."""
        catalog = await self.directory.catalog(call.caller.tenant)
        return catalog_pb2.GetCatalogResponse(catalog=to_pb_catalog(catalog), version=catalog.version)

    async def SetLimit(self, request: catalog_pb2.SetLimitRequest, call: Call) -> catalog_pb2.SetLimitResponse:
        """Makes or changes one limit."""
        limit = from_pb_limit(request.limit, "limit")

        def encode(applied: Applied) -> catalog_pb2.SetLimitResponse:
            return catalog_pb2.SetLimitResponse(
                limit=to_pb_limit(limit),
                plan=request.plan or applied.catalog.default_plan,
                changes=[to_pb_change(change) for change in applied.changes],
                version=applied.catalog.version,
            )

        first = once(request, "SetLimit", encode)
        applied = await self.apply.set_limit(call.caller, request.plan, limit, first)
        if first is not None and first.answer is not None:
            return catalog_pb2.SetLimitResponse.FromString(first.answer)
        return encode(applied)

    async def ListPrices(self, request: catalog_pb2.ListPricesRequest, call: Call) -> catalog_pb2.ListPricesResponse:
        """The price list."""
        if request.currency:
            check_currency(request.currency, "currency")
        interval = from_pb_interval(request.interval, "interval") if request.interval else None
        catalog = await self.directory.catalog(call.caller.tenant)
        for plan in request.plans:
            if plan not in catalog.plan_of:
                raise MetergateError(Reason.PLAN_NOT_FOUND, f"no plan is called {plan!r}", {"plan": plan})
        entries = price_list(catalog, request.currency, interval, frozenset(request.plans))
        return catalog_pb2.ListPricesResponse(
            entries=[to_pb_entry(entry, catalog.feature_of) for entry in entries], version=catalog.version
        )
