"""`manage.py psp_accounts`: what it does, and that it shows no credential."""

from __future__ import annotations

import io
import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from payments.management.commands import psp_accounts as command
from payments.models import PspAccount
from payments.tests.support.factories import credentials_of, staff
from psp_adapters.tests.support.sandbox_process import SandboxProcess

pytestmark = pytest.mark.usefixtures("database")

KEY = "sandbox_of_the_command"
SECRET = "a secret of a test"
READS = ("list", "show", "check", "history")


@pytest.fixture(autouse=True)
def staff_users(database: None) -> None:
    for name in ("ada", "bea"):
        staff(name)


def run(*arguments: str) -> str:
    out = StringIO()
    by = () if arguments[0] in READS or "--by" in arguments else ("--by", "staff:ada")
    call_command("psp_accounts", *arguments, *by, stdout=out)
    return out.getvalue()


def made(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def file(tmp_path: Path, sandbox_psp: SandboxProcess) -> str:
    given = {"base_url": sandbox_psp.base_url, "api_key": KEY, "webhook_secrets": SECRET}
    (tmp_path / "sandbox.json").write_text(json.dumps(given))
    return str(tmp_path / "sandbox.json")


def test_an_account_lives_from_its_creation_to_its_close_and_no_verb_shows_a_secret(
    file: str,
) -> None:
    said = [run("create", "shop", "--credentials", file, "--currencies", "EUR, USD")]
    assert made("show", "shop")["currencies"] == ["EUR", "USD"]
    limits, costs = '{"EUR": {"min_minor": 50}}', '[{"currency": "EUR", "basis_points": 120}]'
    terms = ["--limits", limits, "--costs", costs, "--settlement-calendar", '{"cutoff": "17:00"}']
    said.append(run("change", "shop", *terms, "--hold-days", "5"))
    said += [run(verb, "shop") for verb in ("check", "pause", "resume", "show")]
    said += [
        run("list"),
        run("reseal", "--by", "staff:bea", "--why", "keys change"),
        run("history", "shop"),
    ]
    shown = made("show", "shop")
    assert (shown["status"], shown["hold_days"], shown["limits"]) == (
        *("active", 5, {"EUR": {"min_minor": 50}}),
    )
    assert shown["settlement_calendar"] == {"cutoff": "17:00"}
    assert made("change", "shop", "--limits", "none", "--currencies", "none")["limits"] is None
    assert made("close", "shop")["status"] == "closing"
    [row] = made("list")
    assert (row["status"], row["credentials"], row["currencies"]) == ("closing", "set", "all")
    history = made("history", "shop")
    assert [row["did"] for row in history] == [
        *("close", "change", "reseal", "resume", "pause", "change", "create"),
    ]
    assert (history[2]["by"], history[2]["why"]) == ("staff:bea", "keys change")
    assert history[5]["what"]["hold_days"] == {"before": 7, "after": 5}
    assert len(made("history", "shop", "--most", "1")) == 1
    text = "\n".join(said)
    assert "hold_days: 7 → 5" in text
    assert "sandbox takes them" in text
    sealed = PspAccount.objects.get().sealed_credentials
    for secret in (KEY, SECRET, sealed):
        assert secret not in text


def test_credentials_are_read_from_standard_input_and_asked_for(
    sandbox_psp: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = json.dumps({"base_url": sandbox_psp.base_url, "api_key": KEY})
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    run("create", "piped", "--credentials", "-")
    visible, hidden = [], []

    def show(prompt: str) -> str:
        visible.append(prompt)
        return sandbox_psp.base_url

    def hide(prompt: str) -> str:
        hidden.append(prompt)
        return KEY if prompt.startswith("api_key") else ""

    monkeypatch.setattr("builtins.input", show)
    monkeypatch.setattr(command.getpass, "getpass", hide)
    run("create", "asked", "--ask")
    assert [each.split()[0] for each in visible] == ["base_url"]
    assert [each.split()[0] for each in hidden] == ["api_key", "webhook_secrets"]
    for account in PspAccount.objects.all():
        assert credentials_of(account) == {"base_url": sandbox_psp.base_url, "api_key": KEY}
        assert account.status == "active"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "new"), "--credentials FILE"),
        (("create", "new", "--credentials", "/nowhere/such.json"), "No such file"),
        (("create", "new", "--psp", "unknown", "--ask"), "no adapter"),
        (("create", "new", "--psp", "unknown", "--paused"), "no adapter"),
        (("create", "shop", "--paused"), "`change` changes it"),
        (("change", "shop"), "name what is to change"),
        (("change", "shop", "--limits", "50"), "limits: write"),
        (("change", "shop", "--costs", "{"), "--costs: this is no JSON"),
        (("change", "shop", "--methods", "cash"), "has no cash"),
        (("change", "shop", "--settlement-delay-days", "91"), "settles_in_time"),
        (("pause", "shop"), "is paused"),
        (("resume", "shop"), "no credentials"),
        (("check", "shop"), "no credentials"),
        (("show", "nowhere"), "no such PSP account: nowhere"),
        (("pause", "shop", "--by", " "), "say who does it: --by staff:ada"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_changes_nothing(
    arguments: tuple[str, ...], said: str
) -> None:
    run("create", "shop", "--paused")
    before = list(PspAccount.objects.values())
    with pytest.raises(CommandError, match=said) as refused:
        run(*arguments)
    assert "\n" not in str(refused.value)
    assert list(PspAccount.objects.values()) == before


def test_a_file_that_holds_no_credentials_is_refused_without_its_text(tmp_path: Path) -> None:
    for text in ("api_key=sandbox_hidden", '["sandbox_hidden"]', '{"api_key": 5}'):
        (tmp_path / "wrong").write_text(text)
        with pytest.raises(CommandError) as refused:
            run("create", "new", "--credentials", str(tmp_path / "wrong"))
        assert "hidden" not in str(refused.value)
    assert not PspAccount.objects.exists()


def test_no_option_takes_a_credential_itself() -> None:
    """Arguments of a process are seen by every user of the machine."""
    parser = command.Command().create_parser("manage.py", "psp_accounts")
    verbs = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr, index]
    options = {each for verb in verbs.values() for each in verb._option_string_actions}
    assert not {"--api-key", "--webhook-secrets", "--base-url", "--account-id"} & options
    assert "--credentials" in options
