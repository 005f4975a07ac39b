"""Lines look up no more at a PSP account in a minute than its ceiling; the others wait."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ValidationError

from payments.models import PspAccount
from payments.services.commands.operators.psp_accounts import change_psp_account
from payments.tests.support.factories import staff
from reconciliation.models import LookUpBudget, SettlementLine
from reconciliation.selectors import lines_over_ceiling
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, make_due, speak_plainly


def attempts_of(settling: Settling) -> Counter[tuple[str, int]]:
    """All lines became due at once: any of them may be first."""
    return Counter((line.status, line.attempts) for line in settling.lines())


def test_a_line_above_the_ceiling_waits_for_its_own_minute_and_has_not_failed(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_plainly(settling.shop, monkeypatch)
    PspAccount.objects.update(look_ups_per_minute=2)
    began = len(settling.shop.psp.calls(kind="look_up"))
    settling.read(b"\n".join(b"l%d dispute sdp_none_%d -100 0" % (n, n) for n in range(5)))
    match_due_lines()
    assert len(settling.shop.psp.calls(kind="look_up")) == began + 2
    failing, waiting = (LineStatus.FAILING, 1), (LineStatus.OPEN, 0)
    assert attempts_of(settling) == {failing: 2, waiting: 3}
    assert {line.last_error for line in settling.lines(status=LineStatus.OPEN)} == {""}
    code = settling.shop.account.code
    assert lines_over_ceiling()[code] == 3
    waits = settling.lines(status=LineStatus.OPEN)
    due = sorted(line.next_attempt_at for line in waits if line.next_attempt_at is not None)
    assert [b - a for a, b in pairwise(due)] == [timedelta(seconds=30)] * 2
    make_due()
    LookUpBudget.objects.update(minute="2026-01-01T00:00:00Z", given_until="2026-01-01T00:00:00Z")
    SettlementLine.objects.filter(status=LineStatus.FAILING).update(
        next_attempt_at="2099-01-01T00:00:00Z"
    )
    match_due_lines()
    assert attempts_of(settling) == {failing: 4, waiting: 1}


def test_a_line_that_began_makes_all_look_ups_that_it_needs(settling: Settling) -> None:
    settling.disputed(9_000)
    settling.close()
    PspAccount.objects.update(look_ups_per_minute=1)
    settling.take_in()
    [line] = settling.lines(kind="dispute")
    assert line.status == LineStatus.MATCHED
    assert LookUpBudget.objects.get(psp_account=settling.shop.account).used > 1


@pytest.mark.parametrize("most", [0, 100_001])
def test_a_ceiling_is_a_number_that_lets_lines_look_up(settling: Settling, most: int) -> None:
    with pytest.raises(ValidationError, match=r"look_ups|psp_account_looks_up"):
        change_psp_account(settling.shop.account, author=staff("ada"), look_ups_per_minute=most)
    assert PspAccount.objects.get(pk=settling.shop.account.pk).look_ups_per_minute == 300
