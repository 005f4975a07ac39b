"""Every unexplained line of the PSP's report is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from bench.chaos.verdict.settlement_lines import breaks_of


def effect(seq: int, kind: str, **content: Any) -> dict[str, Any]:
    done = {"seq": seq, "kind": kind, "id": f"x{seq}", "order_id": "o", "amount_minor": 7}
    fees = dict.fromkeys(("fee_minor", "interchange_minor", "scheme_fee_minor"), 0)
    return done | {"currency": "USD"} | fees | content


def movement(seq: int, type_: str, gross_minor: int) -> dict[str, Any]:
    named = {"seq": seq, "id": f"m{seq}", "type": type_, "currency": "USD"}
    return named | {"gross_minor": gross_minor, "fee_minor": 1}


def line(seq: int, gross_minor: int, **content: Any) -> dict[str, Any]:
    return {
        "identity": f"sln_{seq}",
        "status": "matched",
        "currency": "USD",
        "gross_minor": gross_minor,
        "fee_minor": 0,
        "last_error": "",
    } | content


def account_line(seq: int, gross_minor: int) -> dict[str, Any]:
    return line(seq, gross_minor, fee_minor=1) | {"identity": f"slm_{seq}"}


def psp_balance(minor: int, code: int = 1110) -> dict[str, Any]:
    return {"code": code, "currency": "USD", "minor": minor}


def day() -> dict[str, list[dict[str, Any]]]:
    """A sale that was charged back and won; a payout, a reserve and a monthly fee."""
    return {
        "effects": [
            effect(1, "authorize"),
            effect(2, "capture", fee_minor=6, interchange_minor=3, scheme_fee_minor=2),
            effect(3, "dispute"),
            effect(4, "dispute_fee"),
            effect(5, "dispute_reversed"),
            effect(6, "void"),
        ],
        "movements": [
            movement(1, "payout", -90),
            movement(2, "risk_reserved_funds", -10),
            movement(3, "fee", -4),
        ],
        "lines": [
            *(line(2, 7, fee_minor=6), line(3, -7), line(4, 0, fee_minor=3), line(5, 7)),
            *(account_line(1, -90), account_line(2, -10), account_line(3, -4)),
        ],
        "balances": [
            *(psp_balance(0, 1100), psp_balance(-109), psp_balance(90, 1120)),
            *(psp_balance(10, 1130), psp_balance(1, 5100), psp_balance(7, 5600)),
            *(psp_balance(3, 5110), psp_balance(2, 5120)),
        ],
        "disputes_there": [{"id": "d1", "order_id": "o", "status": "won", "amount_minor": 7}],
        "disputes_here": [{"psp_dispute_id": "d1", "status": "won", "amount_minor": 7}],
    }


def test_a_day_that_is_explained_has_no_break() -> None:
    assert list(breaks_of(**day())) == []


@pytest.mark.parametrize("status", ["open", "failing", "dead"])
def test_a_line_that_is_not_explained_is_a_break(status: str) -> None:
    spoiled = day()
    spoiled["lines"][1] |= {"status": status, "last_error": "not found"}
    [(order, text)] = breaks_of(**spoiled)
    assert (order, text) == ("o", f"dispute x3 (sln_3) is {status}: not found")


def test_a_line_too_few_too_many_twice_or_of_another_amount_is_a_break() -> None:
    for change, told in (
        (lambda lines: lines.pop(0), "no line reports capture x2 (sln_2)"),
        (lambda lines: lines.append(line(6, 7)), "the line sln_6 reports nothing"),
        (lambda lines: lines.append(dict(lines[0])), "the line sln_2 is here 2 times"),
        (lambda lines: lines[0].update(gross_minor=8), "the line of capture x2 (sln_2) says 8"),
    ):
        spoiled = day()
        change(spoiled["lines"])
        (_, text), (_, balance) = breaks_of(**spoiled)
        assert told in text
        assert balance.startswith("account 1110 is -109 USD, by the report it is ")


def test_a_payout_that_no_line_reports_is_a_break() -> None:
    spoiled = day()
    spoiled["lines"] = [each for each in spoiled["lines"] if each["identity"] != "slm_1"]
    (_, text), (_, balance) = breaks_of(**spoiled)
    assert text == "no line reports payout m1 (slm_1)"
    assert balance == "account 1110 is -109 USD, by the report it is -18"


@pytest.mark.parametrize(
    "balance",
    [psp_balance(4), *(psp_balance(7, code) for code in (1100, 1120, 1130, 1990, 5110))],
)
def test_a_balance_that_the_report_does_not_explain_is_a_break(balance: dict[str, Any]) -> None:
    spoiled = day()
    spoiled["balances"] = [
        *(row for row in spoiled["balances"] if row["code"] != balance["code"]),
        balance,
    ]
    [(_, text)] = breaks_of(**spoiled)
    assert text.startswith(f"account {balance['code']} is {balance['minor']} USD")


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ([], "we know nothing of the dispute d1"),
        ([{"status": "lost"}], "d1 is won, here lost"),
        ([{"status": "needs_response"}], "d1 is won, here needs_response"),
        ([{"amount_minor": 6}], "d1 is about 6 here"),
        ([{}, {"psp_dispute_id": "d2"}], "d2 is no dispute of the PSP"),
    ],
)
def test_a_dispute_that_is_not_the_psps_is_a_break(here: list[dict[str, Any]], told: str) -> None:
    spoiled = day()
    [ours] = spoiled["disputes_here"]
    spoiled["disputes_here"] = [ours | change for change in here]
    assert [text for _, text in breaks_of(**spoiled)] == [told]


def test_a_loss_without_a_notification_is_found_by_the_next_sync() -> None:
    unheard = day()
    unheard["disputes_there"][0]["status"] = "lost"
    unheard["disputes_here"][0]["status"] = "needs_response"
    assert list(breaks_of(**unheard)) == []
