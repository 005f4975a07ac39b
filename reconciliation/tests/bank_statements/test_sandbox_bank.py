"""What the sandbox PSP pays out is on its bank's statements; a payment is explained to the end."""

from __future__ import annotations

from payments.clock import now_utc
from payments.models import PaymentIntent
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import uuid_of
from reconciliation.models import BankLine
from reconciliation.services.bank_statements.accounts import add_bank_account
from reconciliation.services.bank_statements.storing import store_statements
from reconciliation.services.bank_statements.sweep import match_due_bank_lines
from reconciliation.services.explanation.explain import explain_payment
from reconciliation.states import LineStatus
from reconciliation.tests.support.banking import FIRST_DAY, Banking, camt
from reconciliation.tests.support.settling import Settling


def test_what_the_sandbox_psp_pays_out_and_reverses_is_on_its_banks_statements(
    settling: Settling,
) -> None:
    psp, key = settling.shop.psp, settling.api_key
    for amount_minor in (9_000, 1_234):
        settling.desk.pay(amount_minor, order_id=f"order-{amount_minor}")
        settling.close()
        psp.pay_out(key)
        [statement] = psp.bank_statements(key)
        _import(settling, statement)
    psp.move_money(key, "payout_reversal", 500)
    [statement] = psp.bank_statements(key)
    _import(settling, statement)
    settling.close()
    settling.take_in()
    BankLine.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=now_utc())
    match_due_bank_lines()
    lines = BankLine.objects.order_by("id")
    assert [line.amount_minor for line in lines] == [9_000, 1_234, -500]
    assert {line.status for line in lines} == {LineStatus.MATCHED}
    assert settling.booked()[1120] == 0


def _import(settling: Settling, statement: dict[str, str]) -> None:
    add_bank_account(
        number=statement["account"],
        currency=statement["currency"],
        psp_accounts=[settling.shop.account.code],
        payouts_since=FIRST_DAY,
        author=TESTS,
    )
    body = statement["body"].encode()
    store_statements(name=statement["name"], body=body, imported_by="staff:ada")
    match_due_bank_lines()


def test_a_payment_is_explained_as_far_as_the_bank(banking: Banking) -> None:
    intent_id = banking.settling.desk.pay(9_000)
    [charge] = banking.settling.shop.operations(intent_id)
    banking.report(f"l1 charge {charge.psp_id} 9000 0", "l2 payout po_1234567 -9000 0")
    banking.import_(camt(("90.00", "po_1234567"), closing="90.00"))
    banking.match()
    intent = PaymentIntent.objects.get(pk=uuid_of(intent_id))
    told = [entry.text for entry in explain_payment(intent.pk).timeline]
    assert any("(bank statement S1-2026-03-02 line 1, 2026-03-02)" in each for each in told)
