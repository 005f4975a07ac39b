"""The pages of the internal stream: a failed event is found by its id, with its error."""

from __future__ import annotations

from payments.models import Event, FailedEvent, StreamEntry
from payments.tests.admin.console import Console
from payments.tests.support.shop import Shop


def test_an_event_is_found_on_its_way_by_its_public_id(trading: Shop, superuser: Console) -> None:
    event = Event.objects.filter(type="charge.succeeded").earliest("created_at")
    for model in (StreamEntry, FailedEvent):
        found = superuser.list(model, q=event.public_id).context["cl"].result_list
        assert [row.event_id for row in found] == [event.id], model.__name__
        for term in ("evt_nothing", str(event.id), "charge.succeeded"):
            assert not superuser.list(model, q=term).context["cl"].result_list, term


def test_what_went_wrong_is_shown_and_escaped(trading: Shop, superuser: Console) -> None:
    page = superuser.page(FailedEvent.objects.all()[0]).content.decode()
    assert "ValueError: &lt;script&gt;" in page
    listed = superuser.list(FailedEvent, group="support").content.decode()
    assert "ValueError: <script>" not in listed
