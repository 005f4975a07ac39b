"""Cases: one open case per kind and subject, closed once with an explanation."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from payments import public_ids
from payments.exceptions import ResourceMissing, UnexpectedState
from payments.models import Case, Operation
from payments.services.cases.opening import ADVICE, case_about_operation, open_case
from payments.services.commands.operators.cases import close_case
from payments.states import CaseKind
from payments.tests.support.factories import staff
from payments.tests.support.shop import Shop, body_of


def charge_of(shop: Shop) -> Operation:
    return shop.operations(body_of(shop.create())["id"])[0]


def test_a_second_case_of_the_same_kind_and_subject_is_not_opened(shop: Shop) -> None:
    charge = charge_of(shop)
    assert open_case(case_about_operation(CaseKind.OUTCOME_REVERSED, charge, "first"))
    assert not open_case(case_about_operation(CaseKind.OUTCOME_REVERSED, charge, "second"))
    assert open_case(case_about_operation(CaseKind.CONTRADICTION, charge, "another kind"))
    assert sorted(Case.objects.values_list("summary", flat=True)) == ["another kind", "first"]


def test_a_case_is_closed_once_with_an_actor_and_an_explanation(shop: Shop) -> None:
    case = case_about_operation(CaseKind.OUTCOME_REVERSED, charge_of(shop), "the PSP undid it")
    open_case(case)
    close_case(case.id, author=staff("ada"), resolution=" Merchant told. ")
    closed = Case.objects.get()
    assert (closed.status, closed.closed_by, closed.resolution) == (
        "closed",
        "staff:ada",
        "Merchant told.",
    )
    assert closed.closed_at is not None
    with pytest.raises(UnexpectedState):
        close_case(case.id, author=staff("bob"), resolution="me too")
    assert Case.objects.get().closed_by == "staff:ada"


def test_a_case_is_not_closed_without_an_explanation(shop: Shop) -> None:
    case = case_about_operation(CaseKind.OUTCOME_REVERSED, charge_of(shop), "the PSP undid it")
    open_case(case)
    with pytest.raises(ValueError, match="say how"):
        close_case(case.id, author=staff("ada"), resolution="  ")
    with pytest.raises(ResourceMissing):
        close_case(public_ids.new_id(), author=staff("ada"), resolution="gone")
    with pytest.raises(IntegrityError, match="closed_case_names_its_closer"):
        Case.objects.filter(pk=case.id).update(status="closed")
    assert Case.objects.get().status == "open"


def test_after_a_case_was_closed_the_same_may_be_opened_again(shop: Shop) -> None:
    charge = charge_of(shop)
    case = case_about_operation(CaseKind.OUTCOME_REVERSED, charge, "once")
    open_case(case)
    close_case(case.id, author=staff("ada"), resolution="explained")
    assert open_case(case_about_operation(CaseKind.OUTCOME_REVERSED, charge, "twice"))


def test_every_kind_of_case_says_what_to_do() -> None:
    assert set(ADVICE) == set(CaseKind)
