"""`manage.py ledger_head`: the head of the hash chain, to be kept outside the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.seal_verification import (
    HeadDiffers,
    head_of_chain,
    new_signing_key,
    require_head,
    signed,
)
from ledger.seals import seal_rows


class Command(BaseCommand):
    help = (
        "Export the head of the hash chain, signed by a key that is not in the database, and "
        "compare an exported head with the chain."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        new_key = verbs.add_parser("new-key", help="make a key that signs heads")
        new_key.add_argument("private", metavar="PRIVATE.pem", help="to be kept off this server")
        new_key.add_argument("public", metavar="PUBLIC.pem")
        export = verbs.add_parser("export", help="seal what is complete, and print the head")
        export.add_argument("--key", metavar="PRIVATE.pem", help="sign it with this key")
        check = verbs.add_parser("check", help="exit 1 unless the chain still has this head")
        check.add_argument("head", metavar="HEAD.json")
        check.add_argument("--public-key", metavar="PUBLIC.pem", help="check its signature too")

    def handle(self, *args: Any, **given: Any) -> None:
        verb = str(given["verb"]).replace("-", "_")
        try:
            getattr(self, f"_{verb}")(given)
        except (HeadDiffers, OSError, ValueError, KeyError) as refusal:
            raise CommandError(str(refusal)) from None

    def _new_key(self, given: dict[str, Any]) -> None:
        private, public = new_signing_key()
        path = Path(given["private"])
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(private)
        Path(given["public"]).write_bytes(public)
        self.stdout.write(f"{path} signs heads; {given['public']} checks them")

    def _export(self, given: dict[str, Any]) -> None:
        seal_rows()
        head = head_of_chain()
        if head is None:
            raise CommandError("there is nothing to seal yet")
        if given["key"]:
            head = signed(head, Path(given["key"]).read_bytes())
        self.stdout.write(json.dumps(head, indent=2))

    def _check(self, given: dict[str, Any]) -> None:
        head = json.loads(Path(given["head"]).read_text())
        key = Path(given["public_key"]).read_bytes() if given["public_key"] else None
        require_head(head, key)
        signature = "" if key is None else ", and its signature is right"
        self.stdout.write(f"the chain has block {head['number']} as it was exported{signature}")
