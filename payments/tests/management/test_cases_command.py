"""`manage.py cases` lists cases, shows one with advice, and closes it with an explanation."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from payments.models import Case
from payments.services.cases.opening import ADVICE, case_about_operation, open_case
from payments.services.commands.operators.service_keys import create_service_key, revoke_service_key
from payments.states import CaseKind
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.shop import Shop, body_of


@pytest.fixture(autouse=True)
def ada(shop: Shop) -> None:
    staff("ada")


def cases(*arguments: str) -> str:
    out = StringIO()
    call_command("cases", *arguments, stdout=out)
    return out.getvalue()


def a_case(shop: Shop, kind: CaseKind = CaseKind.OUTCOME_REVERSED) -> Case:
    charge = shop.operations(body_of(shop.create(order_id=""))["id"])[0]
    case = case_about_operation(kind, charge, "The PSP undid it.")
    assert open_case(case)
    return case


def test_open_cases_are_listed_oldest_first(shop: Shop) -> None:
    first, second = a_case(shop), a_case(shop, CaseKind.CONTRADICTION)
    lines = cases().splitlines()
    assert [first.public_id in lines[0], second.public_id in lines[1]] == [True, True]
    assert "100.00 USD: The PSP undid it." in lines[0]
    assert lines[2] == "2 open cases"
    assert cases("--kind", "contradiction").splitlines()[-1] == "1 open cases"
    assert cases("--closed") == "0 closed cases\n"


def test_a_case_is_shown_with_what_to_do(shop: Shop) -> None:
    case = a_case(shop)
    shown = cases(case.public_id)
    assert ADVICE[CaseKind.OUTCOME_REVERSED] in shown
    assert case.subject in shown
    assert Case.objects.get().status == "open"


def test_a_case_is_closed_with_an_explanation_and_an_actor(shop: Shop) -> None:
    case = a_case(shop)
    said = cases(case.public_id, "--close", "--by", "staff:ada", "--resolution", "Merchant told.")
    assert said == f"{case.public_id} is closed\n"
    row = Case.objects.get()
    assert (row.status, row.closed_by, row.resolution) == ("closed", "staff:ada", "Merchant told.")
    assert "Merchant told." in cases(case.public_id)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--close", "--by", "staff:ada"),
        ("--close", "--resolution", "explained"),
        ("--close", "--by", " ", "--resolution", "explained"),
        ("--close", "--by", "staff:eve", "--resolution", "explained"),
        ("--close", "--by", "ada", "--resolution", "explained"),
        ("--close", "--by", "service:importer", "--resolution", "explained"),
    ],
)
def test_a_case_is_not_closed_without_a_resolution_and_a_staff_user(
    shop: Shop, arguments: tuple[str, ...]
) -> None:
    case = a_case(shop)
    with pytest.raises(CommandError, match=r"--resolution|staff"):
        cases(case.public_id, *arguments)
    assert Case.objects.get().status == "open"


def test_a_service_closes_a_case_with_its_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    case = a_case(shop)
    key, secret = create_service_key("importer", author=TESTS)
    monkeypatch.setenv("SERVICE_KEY", secret)
    cases(case.public_id, "--close", "--resolution", "explained")
    assert Case.objects.get().closed_by == "service:importer"
    revoke_service_key(key, author=TESTS)
    with pytest.raises(CommandError, match="SERVICE_KEY is no valid key"):
        cases(a_case(shop).public_id, "--close", "--resolution", "explained")


def test_a_missing_or_closed_case_is_refused(shop: Shop) -> None:
    case = a_case(shop)
    for wrong in ("case_nothing", "case_ABCDEFGHIJKLMNOPQRSTUV"):
        with pytest.raises(CommandError, match="no such case"):
            cases(wrong)
    with pytest.raises(CommandError, match="name the case"):
        cases("--close")
    closing = (case.public_id, "--close", "--by", "staff:ada", "--resolution", "explained")
    cases(*closing)
    with pytest.raises(CommandError, match="closed by staff:ada already"):
        cases(*closing)
