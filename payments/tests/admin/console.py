"""Staff logged in to the console, and rows for every page. No tests."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.models import Customer, Deadline, Operation, WebhookEndpoint
from payments.services.automatic_actions.balance_announcements import announce_balances
from payments.services.callers.caller import CommandRequest
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.checkout.links import LinkDetails, create_link, visit
from payments.services.checkout.sessions import Line
from payments.services.commands.mandates import Acceptance
from payments.services.commands.operators.staff import make_superuser
from payments.services.commands.setups.intents import SetupDetails, create_setup_intent
from payments.services.event_stream import positions
from payments.services.event_stream.consuming import consume_once, note_failure
from payments.services.event_stream.effects import EFFECTS
from payments.services.event_stream.message import cloud_event_of, message_of
from payments.services.event_stream.numbering import assign_numbers, numbered_after
from payments.states import CaseKind
from payments.tests.approvals.approving import lead, need_approval_above
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.factories import TESTS
from payments.tests.support.listening import deliver_all, open_endpoint
from payments.tests.support.shop import Shop, body_of, open_shop
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import (
    LineVariance,
    MissingSettlement,
    PayoutSum,
    ScheduledExport,
    SettlementLine,
    SettlementReport,
    StagedLine,
    WatchedFile,
)
from reconciliation.services.expectations.balance_drift import watch_balances
from reconciliation.services.expectations.watching import watch_settlements
from reconciliation.tests.support.banking import Banking, camt
from reconciliation.tests.support.settling import Settling

MODELS = [
    model
    for app in ("payments", "ledger", "reconciliation", "paymentsite")
    for model in apps.get_app_config(app).get_models(include_auto_created=True)
]
SECRET_SHA256 = hashlib.sha256(b"sk_test_the_key_itself").hexdigest()


@dataclass
class Console:
    """A logged-in staff user, and the addresses of a model's pages."""

    client: Client

    def list(self, model: type[Model], **query: str) -> Any:
        return self.client.get(url_of(model, "changelist"), query)

    def shown(self, model: type[Model], **query: str) -> ChangeList:
        """What a list shows, without the page around it, which takes most of the time."""
        request = RequestFactory().get(url_of(model, "changelist"), query)
        request.user = User.objects.get(username="reader")
        page: Any = admin.site._registry[model]
        page.request = request  # as unfold's view does
        return page.get_changelist_instance(request)  # type: ignore[no-any-return]

    def page(self, row: Model) -> Any:
        return self.client.get(url_of(type(row), "change", row.pk))


def url_of(model: type[Model], view: str, *arguments: Any) -> str:
    label = f"{model._meta.app_label}_{model._meta.model_name}"
    return reverse(f"admin:{label}_{view}", args=arguments)


def log_in(*, is_superuser: bool = False, **person: Any) -> Console:
    user = User.objects.create_user("reader", is_staff=True, **person)
    if is_superuser:
        make_superuser(user, author=TESTS)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return Console(client)


def sell(shop: Shop, *, order_id: str, key: str) -> str:
    """A payment that waited, was partly refunded, and has a case about its charge; its id.

    The customer's bank asked about it, and was answered.
    """
    answer = shop.create(10_000, order_id=order_id, caller=shop.caller(key, {"order": order_id}))
    assert answer.status == 200, answer.body
    identifier: str = body_of(answer)["id"]
    assert shop.refund(identifier, 2_500).status == 200
    [charge, _] = shop.operations(identifier)
    now = now_utc()
    Deadline.objects.create(
        intent_id=charge.intent_id, status="AUTHORIZED", waiting_since=now, next_action_at=now
    )
    assert open_case(case_about_operation(CaseKind.OUTCOME_REVERSED, charge, "<script>"))
    add_checkout(shop)
    ask_for_approval(shop, key)
    consume_everything()
    opened = shop.psp.open_dispute(order_id=order_id, inquiry=True)
    desk = Desk(shop)
    assert desk.submit(desk.sync(opened["id"]), "<script>").status == 200
    keep_methods(shop)
    return identifier


def ask_for_approval(shop: Shop, name: str) -> None:
    """A refund of another payment that waits for a lead, with a limit of its own."""
    lead(f"lead of {name}", role=f"leads of {name}")
    need_approval_above(shop, 0)
    paid = body_of(shop.create(order_id=f"refunded with {name}"))["id"]
    assert body_of(shop.refund(paid))["status"] == "pending"
    shop.merchant.refund_approval_limits = {}
    shop.merchant.save(update_fields=["refund_approval_limits"])


def keep_methods(shop: Shop) -> None:
    """Setup intents with their attempts: of a card, and of an account with its mandate."""
    accepted = Acceptance(where="online", ip_address="203.0.113.7", user_agent="<script>")
    for token, acceptance in (("pm_card_visa", None), ("pm_sepaDebit_success", accepted)):
        create_setup_intent(
            CommandRequest(shop.caller()),
            usage="off_session",
            details=SetupDetails(),
            payment_method=token,
            confirm=True,
            acceptance=acceptance,
        )


def add_checkout(shop: Shop) -> None:
    """A payment link, and the session of a visitor."""
    made = create_link(
        CommandRequest(shop.caller()),
        lines=[Line(name="<script>", unit_amount=Money(500, "USD"), quantity=2)],
        method_types=[],
        intent_details={},
        submit_type="auto",
        details=LinkDetails(),
    )
    assert made.row is not None
    visit(made.row, known_token="", request_id="")


def consume_everything() -> None:
    """Number the events, let fraud consume them, and let support fail on them."""
    while assign_numbers():
        continue
    positions.add_groups(["fraud", "support"])
    for row in numbered_after(0, limit=1_000):
        message = message_of(row.number, cloud_event_of(row.event))
        consume_once("fraud", message, EFFECTS["fraud"])
        note_failure("support", message, "ValueError: <script>", dead=True)


def add_customer(shop: Shop, *, email: str) -> Customer:
    now = now_utc()
    identifier = public_ids.new_id()
    return Customer.objects.create(
        id=identifier,
        merchant=shop.merchant,
        livemode=False,
        email=email,
        metadata={"note": "<script>alert(1)</script>"},
        created_at=now,
        updated_at=now,
    )


def listen_in_vain(shop: Shop) -> WebhookEndpoint:
    """Another endpoint, which may not be called, with a failed attempt."""
    endpoint, _ = open_endpoint(shop.merchant, "http://127.0.0.1:9/hook?token=of-the-merchant")
    endpoint.metadata = {"note": "<script>alert(1)</script>"}
    endpoint.save(update_fields=["metadata"])
    shop.create(order_id=f"{shop.order_id}-{endpoint.public_id}", confirm=False)
    deliver_all()
    return endpoint


def everything() -> dict[str, Any]:
    """Every row of every table that a page could write."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in [*MODELS, User, Group]
        if model is not User
    } | {"people": list(User.objects.order_by("pk").values_list("pk", "is_superuser", "password"))}


def _capture_named_by_its_payment(settling: Settling) -> None:
    """The next report has a line of a payment, which has a share of its capture."""
    order_id = f"order-of-{uuid.uuid4().hex[:12]}"
    intent_id = body_of(settling.shop.create(1_000, manual=True, order_id=order_id))["id"]
    settling.shop.capture(intent_id)
    # Behind a charge, its chargeback and the fee of that.
    settling.shop.psp.spoil_report(settling.api_key, "payment_line", line=4)


def settle(shop: Shop) -> None:
    """The PSP reports on another merchant, with a chargeback; the bank has sent a statement."""
    settling = Settling(open_shop(shop.psp))
    settling.disputed()
    _capture_named_by_its_payment(settling)
    settling.close()
    [report] = settling.take_in()
    watch_balances()
    announce_balances()
    watch_settlements(now=now_utc() + timedelta(days=30))
    charge = Operation.objects.filter(psp_account=settling.shop.account).earliest("id")
    MissingSettlement.objects.create(
        operation=charge,
        psp_account=settling.shop.account,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        moved_at=charge.created_at,
        expected_by=charge.created_at + timedelta(days=2),
        found_at=charge.created_at + timedelta(days=3),
        checked_at=charge.created_at + timedelta(days=3),
    )
    banking = Banking(settling)
    number = banking.open(number=f"BANK{settling.shop.account.pk.hex[-12:]}".upper()).number
    entry = ("10.00", "from an unknown sender")
    banking.import_(camt(entry, closing="10.00", account=number), f"{number}.xml")
    said = settling.lines()[0]
    _stage(report, said)
    LineVariance.objects.create(
        line=said,
        report=report,
        psp_account=report.psp_account,
        discrepancy=Discrepancy.FEE_VARIANCE,
        currency=said.currency,
        agreed_minor=100,
        stated_minor=120,
        found_at=report.received_at,
    )
    PayoutSum.objects.create(
        psp_account=report.psp_account,
        psp_payout_id="po_1",
        currency=said.currency,
        changed_at=report.received_at,
    )
    ScheduledExport.objects.get_or_create(
        export="journal",
        first_day=report.received_at.date(),
        last_day=report.received_at.date(),
        defaults={"planned_at": report.received_at, "next_attempt_at": report.received_at},
    )
    WatchedFile.objects.create(
        psp_account=report.psp_account,
        name=report.name,
        size_bytes=report.body_bytes,
        modified_ns=1,
        report=report,
        found_at=report.received_at,
    )


def _stage(report: SettlementReport, said: SettlementLine) -> None:
    """A line of a report that is being read, as if it said the same."""
    staged = StagedLine(report=report, number=1, occurred_at=said.occurred_at)
    for name in ("identity", "content_sha256", "kind", "psp_type", "psp_id", "psp_payment_id"):
        setattr(staged, name, getattr(said, name))
    staged.reference, staged.currency = said.reference, said.currency
    staged.gross_minor, staged.fee_minor = said.gross_minor, said.fee_minor
    staged.save()
