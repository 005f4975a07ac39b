"""`manage.py webhooks`: shows endpoints and deliveries; rotates, enables, resends, replays."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Min, Q

from payments import public_ids
from payments.management.authors import add_author, author_of
from payments.models import Act, Delivery, Dispatch, WebhookEndpoint
from payments.selectors.events import held_back_by
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.merchant_webhooks import endpoints
from payments.services.merchant_webhooks import resend as resending
from payments.states import DeliveryOrder, DeliveryStatus

_REPORT_EVERY: Final = 10_000
"""Replayed events between two lines of progress."""


class Command(BaseCommand):
    help = "Shows and operates merchants' webhook endpoints and their deliveries."
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    _reported_at = 0

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("status", help="pending deliveries and dead letters, by endpoint")
        rotate = verbs.add_parser("rotate-secret", help="give an endpoint a new secret, shown once")
        rotate.add_argument("endpoint", help="we_…")
        rotate.add_argument(
            "--overlap-hours", type=float, default=24, help="how long both secrets sign"
        )
        enable = verbs.add_parser("enable", help="enable an endpoint; it gets events from now on")
        enable.add_argument("endpoint", help="we_…")
        order = verbs.add_parser("order", help="send the events of a payment in order, or at once")
        order.add_argument("endpoint", help="we_…")
        order.add_argument("order", choices=[each.value for each in DeliveryOrder])
        resend = verbs.add_parser("resend", help="make one delivery due again, now")
        resend.add_argument("delivery", help="whd_…")
        failed = verbs.add_parser("resend-failed", help="make all failed deliveries due, now")
        failed.add_argument("endpoint", nargs="+", help="we_…")
        replay = verbs.add_parser("replay", help="deliver past events, also to a new endpoint")
        replay.add_argument("endpoint", help="we_…")
        replay.add_argument("--since", type=_moment, help="created from then on (ISO 8601, UTC)")
        replay.add_argument("--before", type=_moment, help="created before then (ISO 8601, UTC)")
        replay.add_argument("--type", action="append", default=[], help="a type, or charge.*")
        replay.add_argument("--all", action="store_true", help="every event, without a time range")
        reseal = verbs.add_parser(
            "reseal-secrets", help="encrypt all secrets with the first encryption key"
        )
        for each in (rotate, enable, order, resend, failed, replay, reseal):
            add_author(each)

    def handle(self, *args: Any, **given: Any) -> None:
        verb = str(given["verb"]).replace("-", "_")
        try:
            getattr(self, f"_{verb}")(given)
        except ValueError as refusal:
            raise CommandError(str(refusal)) from None

    def _status(self, given: dict[str, Any]) -> None:
        self.stdout.write(f"{Dispatch.objects.count()} events are not fanned out yet")
        pending, dead = Q(status=DeliveryStatus.PENDING), Q(status=DeliveryStatus.DEAD)
        counts: dict[UUID, Any] = {
            row["endpoint_id"]: row
            for row in Delivery.objects.exclude(status=DeliveryStatus.DELIVERED)
            .values("endpoint_id")
            .annotate(
                pending=Count("pk", filter=pending),
                dead=Count("pk", filter=dead),
                oldest=Min("created_at", filter=pending),
            )
        }
        for endpoint in WebhookEndpoint.objects.filter(deleted_at__isnull=True).order_by("pk"):
            row = counts.get(endpoint.pk, {"pending": 0, "dead": 0, "oldest": None})
            reason = f" ({endpoint.disabled_because})" if endpoint.disabled_because else ""
            failing = endpoint.failing_since
            since = f", failing since {_shown(failing)}" if failing else ""
            self.stdout.write(
                f"{endpoint} {endpoint.status}{reason}: {row['pending']} pending "
                f"(oldest {_shown(row['oldest'])}), {row['dead']} dead{since}{_held(endpoint)}"
            )

    def _rotate_secret(self, given: dict[str, Any]) -> None:
        overlap = timedelta(hours=given["overlap_hours"])
        endpoint = _endpoint(given)
        with _recorded(Act.ENDPOINT_ROTATE, endpoint, given) as changes:
            secret = endpoints.rotate_secret(endpoint, overlap=overlap)
            changes["secret"] = {"changed": ["signing"]}
        self.stdout.write(secret)

    def _enable(self, given: dict[str, Any]) -> None:
        endpoint = _endpoint(given)
        with _recorded(Act.ENDPOINT_ENABLE, endpoint, given) as changes:
            done = endpoints.enable_endpoint(endpoint)
            changes["enabled"] = {"after": done}
        self.stdout.write("enabled" if done else "nothing to do: it is enabled, or was deleted")

    def _order(self, given: dict[str, Any]) -> None:
        endpoint = _endpoint(given)
        with _recorded(Act.ENDPOINT_ORDER, endpoint, given) as changes:
            endpoints.set_delivery_order(endpoint, DeliveryOrder(given["order"]))
            changes["order"] = {"after": given["order"]}
        self.stdout.write(f"events are sent {given['order']} from now on")

    def _resend(self, given: dict[str, Any]) -> None:
        identifier = public_ids.decode(public_ids.DELIVERY, given["delivery"])
        if identifier is None or not Delivery.objects.filter(pk=identifier).exists():
            raise CommandError("there is no such delivery")
        delivery = Delivery.objects.get(pk=identifier)
        with _recorded(Act.DELIVERY_RESEND, delivery.endpoint_id, given) as changes:
            done = resending.resend_delivery(identifier)
            changes["delivery"] = {"after": given["delivery"]}
        self.stdout.write("due now" if done else "it waits for earlier events of its payment")

    def _resend_failed(self, given: dict[str, Any]) -> None:
        known = {each: _known(each) for each in given["endpoint"]}
        for public_id, endpoint in known.items():
            with _recorded(Act.ENDPOINT_RESEND_FAILED, endpoint, given) as changes:
                count = resending.resend_failed(endpoint)
                changes["deliveries"] = {"after": count}
            self.stdout.write(f"{count} deliveries to {public_id} are due now")

    def _replay(self, given: dict[str, Any]) -> None:
        if not (given["since"] or given["before"] or given["type"] or given["all"]):
            raise CommandError("give --since, --before, --type or --all")
        event_filter = resending.EventFilter(
            types=given["type"], since=given["since"], before=given["before"]
        )
        endpoint = _endpoint(given)
        with _recorded(Act.ENDPOINT_REPLAY, endpoint, given) as changes:
            count = resending.replay_events(endpoint, event_filter, progress=self._report_progress)
            changes["events"] = {"after": count}
        self.stdout.write(f"{count} events are replayed")

    def _report_progress(self, count: int, last: UUID) -> None:
        """Print from time to time where an interrupted run can be continued with --since."""
        if count >= self._reported_at + _REPORT_EVERY:
            self._reported_at = count
            moment = datetime.fromtimestamp(public_ids.created_ms_of(last) / 1000, UTC)
            self.stdout.write(f"{count} so far, up to --since {moment:%Y-%m-%dT%H:%M:%S}")

    def _reseal_secrets(self, given: dict[str, Any]) -> None:
        about = AuditSubject(label="all endpoints")
        with recorded(Act.ENDPOINTS_RESEAL, author_of(given), about) as changes:
            count = endpoints.reseal_secrets()
            changes["endpoints"] = {"after": count}
        self.stdout.write(f"{count} endpoints: secrets encrypted anew")


def _recorded(
    act: Act, endpoint_id: UUID, given: dict[str, Any]
) -> AbstractContextManager[dict[str, Any]]:
    """Records what is done to an endpoint or to its deliveries."""
    row = WebhookEndpoint.objects.get(pk=endpoint_id)
    about = AuditSubject(
        label=row.public_id, object_id=row.pk, merchant_id=row.merchant_id, livemode=row.livemode
    )
    return recorded(act, author_of(given), about)


def _endpoint(given: dict[str, Any]) -> UUID:
    return _known(given["endpoint"])


def _known(public_id: str) -> UUID:
    identifier = public_ids.decode(public_ids.WEBHOOK_ENDPOINT, public_id)
    known = WebhookEndpoint.objects.filter(deleted_at__isnull=True)
    if identifier is None or not known.filter(pk=identifier).exists():
        raise CommandError("there is no such endpoint")
    return identifier


def _held(endpoint: WebhookEndpoint) -> str:
    held_back = held_back_by(endpoint)
    if held_back is None:
        return ""
    return (
        f", events of {held_back.payments} payments held back since {_shown(held_back.since)} "
        f"by {held_back.event}"
    )


def _shown(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
