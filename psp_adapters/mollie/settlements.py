"""Fetches settlements of the organization at Mollie: an API key of a profile cannot read them."""

from __future__ import annotations

import time
from datetime import datetime

from psp_adapters.contract.answers import readable
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_reports import ReportListing
from psp_adapters.mollie import reports
from psp_adapters.mollie.connection import Connection


def listings(
    organization: Connection | None, *, since: datetime | None, deadline_seconds: float
) -> list[ReportListing]:
    """The settlements that were paid out at that time or later, or all; oldest first.

    Raises PspUnavailable.
    """
    end = time.monotonic() + deadline_seconds
    known = _required(organization)
    pages = known.pages(known.api.settlements, "settlements", end)
    found = [view for page in pages for view in page]
    return readable(reports.listings_of, found, since=since)


def fetch(organization: Connection | None, name: str, *, deadline_seconds: float) -> bytes:
    """What a settlement lists, as one report; raises PspUnavailable."""
    if not reports.is_name(name):
        raise PspUnavailable("not the name of a report")
    end = time.monotonic() + deadline_seconds
    known = _required(organization)
    settlement = known.object(
        lambda: known.api.settlements.get(name), deadline_seconds=deadline_seconds
    )
    lists = {
        which: [
            view
            for page in known.pages(resource, which, end, most=reports.PAGES_MAX)
            for view in page
        ]
        for which, resource in reports.resources_of(known.api, name).items()
    }
    return readable(reports.report_of, settlement, lists, name=name)


def _required(organization: Connection | None) -> Connection:
    if organization is None:
        raise PspUnavailable("settlements need an access_token of the organization")
    return organization
