"""Lines that name a payment match captures of it, but never one of two choices."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from payments.models import Case, Operation
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import body_of
from paymentsite.tests.fixtures.matrix import examples
from reconciliation.discrepancies import Discrepancy as D
from reconciliation.models import SettlementShare
from reconciliation.services.expectations.open_items import open_items
from reconciliation.services.matching.line_bookings import book_lines, to_book
from reconciliation.services.matching.payment_lines import allotted
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.matching.test_line_groups import grow_old, match, report
from reconciliation.tests.support.settling import Settling, make_due, speak_plainly


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    speak_plainly(settling.shop, monkeypatch)
    return settling


def captured(settling: Settling, *amounts_minor: int, of: int = 10_000) -> list[Operation]:
    """The captures of a new payment."""
    settling.shop.order_id += "x"
    intent_id = body_of(settling.shop.create(of, manual=True))["id"]
    for place, amount_minor in enumerate(amounts_minor, start=1):
        settling.shop.capture(intent_id, amount_minor, final=place == len(amounts_minor))
    return [each for each in settling.shop.operations(intent_id) if each.kind == "capture"]


def shares() -> dict[str, list[int]]:
    rows = SettlementShare.objects.order_by("operation_id").select_related("line")
    found: dict[str, list[int]] = {}
    for each in rows:
        found.setdefault(each.line.identity, []).append(each.amount_minor)
    return found


def assert_all_agrees() -> None:
    assert [*differences(), *line_differences()] == []


def test_one_line_of_a_payment_matches_all_its_captures(plain: Settling) -> None:
    captures = captured(plain, 6_000, 4_000)
    payment = captures[0].psp_payment_id
    assert report(plain, f"l1 charge {payment} 10000 70") == {"l1": ""}
    assert shares() == {"l1": [6_000, 4_000]}
    assert plain.booked() == {1100: 0, 1110: 9_930, 5100: 70}
    assert open_items([each.id for each in captures]) == {}
    assert_all_agrees()


def test_a_line_that_fits_two_captures_alike_waits_until_both_are_reported(
    plain: Settling,
) -> None:
    [first, _] = captured(plain, 5_000, 5_000)
    assert report(plain, f"l1 charge {first.psp_payment_id} 5000 0") == {"l1": D.AMBIGUOUS}
    assert plain.booked() == {1100: 10_000}
    assert report(plain, f"l2 charge {first.psp_payment_id} 5000 0") == {"l1": "", "l2": ""}
    assert sorted(shares().values()) == [[5_000], [5_000]]
    assert plain.booked() == {1100: 0, 1110: 10_000}
    assert_all_agrees()


def test_an_ambiguous_line_that_was_given_up_comes_back_with_the_other_one(
    plain: Settling, owner_cursor: Any
) -> None:
    [first, _] = captured(plain, 5_000, 5_000)
    report(plain, f"l1 charge {first.psp_payment_id} 5000 0")
    grow_old(owner_cursor, 4)
    assert match(plain) == {"l1": D.AMBIGUOUS}
    assert [line.status for line in plain.lines()] == [LineStatus.DEAD]
    assert [case.discrepancy for case in Case.objects.all()] == [D.AMBIGUOUS]
    assert report(plain, f"l2 charge {first.psp_payment_id} 5000 0") == {"l1": "", "l2": ""}
    assert plain.booked() == {1100: 0, 1110: 10_000, 1990: 0}
    assert [case.closed_by for case in Case.objects.all()] == ["rule:line_matched"]


@pytest.mark.parametrize("step", [1, -1])
def test_lines_of_other_parts_than_the_captures_match_once_all_are_here(
    plain: Settling, step: int
) -> None:
    captures = captured(plain, 6_000, 4_000)
    payment = captures[0].psp_payment_id
    first, second = [f"l1 charge {payment} 7000 0", f"l2 charge {payment} 3000 0"][::step]
    assert report(plain, first)[first[:2]] == D.PARTIAL_SETTLEMENT
    assert report(plain, second) == {"l1": "", "l2": ""}
    assert sum(sum(parts) for parts in shares().values()) == 10_000
    assert plain.booked() == {1100: 0, 1110: 10_000}
    assert open_items([each.id for each in captures]) == {}
    assert_all_agrees()


def test_a_capture_with_a_line_of_its_own_is_left_out(plain: Settling) -> None:
    captures = captured(plain, 6_000, 4_000)
    own, rest = captures
    rows = [f"l1 charge {own.psp_id} 6000 0", f"l2 charge {own.psp_payment_id} 4000 0"]
    assert report(plain, *rows) == {"l1": "", "l2": ""}
    assert shares() == {"l2": [4_000]}
    assert open_items([own.id, rest.id]) == {}
    found = report(plain, f"l3 charge {own.psp_payment_id} 4000 0")
    assert found["l3"] == D.DUPLICATE_AT_PSP


def test_more_than_all_captures_of_a_payment_is_a_case(
    plain: Settling,
) -> None:
    [ours] = captured(plain, 2_000, of=9_000)
    assert report(plain, f"l1 charge {ours.psp_payment_id} 2500 0") == {"l1": D.AMOUNT_MISMATCH}
    assert [line.status for line in plain.lines()] == [LineStatus.DEAD]
    [case] = Case.objects.all()
    assert (case.intent_id, case.discrepancy) == (ours.intent_id, D.AMOUNT_MISMATCH)
    assert plain.booked() == {1100: 2_000, 1110: 2_500, 1990: -2_500}
    assert not SettlementShare.objects.exists()


def test_a_capture_in_the_dashboard_is_found_by_the_line_of_its_payment(plain: Settling) -> None:
    plain.shop.order_id += "x"
    intent_id = body_of(plain.shop.create(10_000, manual=True))["id"]
    plain.shop.capture(intent_id, 6_000, final=False)
    plain.shop.psp.act("capture", order_id=plain.shop.order_id, amount_minor=4_000)
    payment = plain.shop.operations(intent_id)[-1].psp_payment_id
    assert report(plain, f"l1 charge {payment} 10000 0") == {"l1": ""}
    assert shares() == {"l1": [6_000, 4_000]}
    assert_all_agrees()


@pytest.mark.parametrize("odd", ["another payment", "too much", "another sum", "late"])
def test_postgresql_refuses_shares_that_are_not_the_line(plain: Settling, odd: str) -> None:
    captures = captured(plain, 6_000, 4_000)
    [stranger] = captured(plain, 3_000, of=3_000)
    plain.read(f"l1 charge {captures[0].psp_payment_id} 10000 0".encode())
    [line] = plain.lines()
    wanted = {
        "another payment": [(captures[0], 6_000), (captures[1], 1_000), (stranger, 3_000)],
        "too much": [(captures[0], 6_001), (captures[1], 3_999)],
        "another sum": [(captures[0], 6_000)],
        "late": [(captures[0], 6_000), (captures[1], 4_000)],
    }[odd]
    refused = "late_share|late_match" if odd == "late" else "line_differs_from_operation"
    with pytest.raises(IntegrityError, match=refused), transaction.atomic():
        SettlementShare.objects.bulk_create(
            SettlementShare(line=line, operation=capture, amount_minor=minor)
            for capture, minor in wanted
        )
        book_lines([to_book(line, payment_id=captures[0].intent_id)])
        line.match()
        line.operation_id = captures[0].id
        line.accounted_at, line.next_attempt_at = line.stored_at, None
        line.save(update_fields=["status", "operation_id", "accounted_at", "next_attempt_at"])
        SettlementShare.objects.create(line=line, operation=stranger, amount_minor=1)
    assert [line.status for line in plain.lines()] == [LineStatus.OPEN]
    assert not SettlementShare.objects.exists()
    make_due()
    assert match(plain) == {"l1": ""}


@pytest.mark.parametrize("seed", range(examples(1, whole=10)))
def test_a_choice_is_taken_only_if_it_is_the_only_one(seed: int) -> None:
    random = Random(seed)
    for _ in range(200):
        left = [random.randint(1, 6) for _ in range(random.randint(1, 5))]
        gross = random.randint(1, 20)
        waiting = random.choice([gross, gross + random.randint(1, 9)])
        choices = [
            chosen
            for size in range(1, len(left) + 1)
            for chosen in combinations(range(len(left)), size)
            if sum(left[place] for place in chosen) == gross
        ]
        found = allotted(gross, left, waiting_minor=waiting)
        if isinstance(found, list):
            assert sum(found) == gross
            assert all(0 <= part <= minor for part, minor in zip(found, left, strict=True))
            assert len(choices) == 1 or waiting == sum(left)
        elif found == D.AMBIGUOUS:
            assert len(choices) > 1
        else:
            assert not choices
            assert (found == D.PARTIAL_SETTLEMENT) == (gross < sum(left))
        negative = allotted(-gross, [-minor for minor in left], waiting_minor=-waiting)
        assert negative == ([-part for part in found] if isinstance(found, list) else found)
