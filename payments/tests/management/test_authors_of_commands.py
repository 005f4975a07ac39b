"""Whatever a command of ours changes has an author: each verb takes --by, or only reads."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from django.core.management import get_commands, load_command_class

OURS = ("payments", "reconciliation", "ledger", "paymentsite")
READS_ONLY = {
    "api_key list",
    "approvals list",
    "approvals show",
    "check_installation",
    "explain",
    "export",
    "ledger_head check",
    "ledger_head export",
    "ledger_head new-key",
    "merchant list",
    "merchant show",
    "psp_accounts check",
    "psp_accounts history",
    "psp_accounts list",
    "psp_accounts show",
    "role list",
    "role show",
    "routing_rules dry-run",
    "routing_rules history",
    "routing_rules list",
    "routing_rules show",
    "service_key list",
    "staff list",
    "staff show",
    "verify_ledger",
    "webhooks status",
}
WORKERS = {
    "consume_events": "a process of the platform, of which no operator is the author",
    "publish_events": "the same",
    "relay_events": "the same",
    "migrate": "of the database, with the owner's login",
    "play_demo_day": "of the demo alone",
    "seed_demo": "of the demo alone",
}


def verbs() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name, app in sorted(get_commands().items()):
        if not isinstance(app, str) or app not in OURS:
            continue
        parser = load_command_class(app, name).create_parser("manage.py", name)
        choices = [
            action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
        ]
        if not choices:
            yield name, parser
        for action in choices:
            for verb, of_verb in action.choices.items():
                yield f"{name} {verb}", of_verb


@pytest.mark.parametrize(("verb", "parser"), [pytest.param(*each, id=each[0]) for each in verbs()])
def test_each_verb_has_an_author_or_only_reads(verb: str, parser: argparse.ArgumentParser) -> None:
    has_author = "--by" in parser._option_string_actions
    assert has_author != (verb in READS_ONLY or verb in WORKERS)
