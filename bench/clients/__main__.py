"""Runs `make clients [ONLY=words]`: every client against a fresh installation, and one table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.clients.environments import CLIENTS, WHOLE_SCRIPT, Client, Unavailable
from bench.clients.installation import Installation, installed
from paymentsite.launcher.progress import LauncherError, say, step

Results = Mapping[str, Mapping[str, str]]
"""By client and call: `pass`, `fail` or `unsupported`."""


def main(words: Sequence[str]) -> int:
    """Run the clients whose names contain one of the words, or all; 1 if a call failed."""
    folders = {}
    for client in CLIENTS:
        if words and not any(word in client.name for word in words):
            continue
        try:
            with step(f"install {client.name}: {', '.join(client.packages)}"):
                folders[client] = client.install()
        except Unavailable as reason:
            say(f"  -- {client.name} is skipped: {reason}")
    if not folders:
        say("no client could be installed, so nothing was tried")
        return 0
    with installed() as installation:
        results = {
            client.name: _run(client, folder, installation) for client, folder in folders.items()
        }
    say()
    say(table(results))
    failed = sum(list(calls.values()).count("fail") for calls in results.values())
    say(f"{failed} calls failed" if failed else "no call failed")
    return bool(failed)


def _run(client: Client, folder: Path, installation: Installation) -> dict[str, str]:
    say(f"{client.name}")
    facts = {
        "base_url": installation.base_url,
        "psp_url": installation.psp_url,
        "secret_key": installation.new_merchant(client.name),
        "receiver_url": f"{installation.receiver_url}/{client.name.replace(' ', '-')}",
    }
    calls = client.run(folder, facts)
    for call in calls:
        mark = {"pass": "ok", "fail": "!!", "unsupported": "--"}[call["result"]]
        say(f"  {mark} {call['call']}" + (f": {call['detail']}" if call["detail"] else ""))
    if not calls:
        return {WHOLE_SCRIPT: "fail"}
    return {call["call"]: call["result"] for call in calls}


def table(results: Results) -> str:
    """The results as a table of Markdown: a row for each call, a column for each client."""
    rows = list(dict.fromkeys(call for calls in results.values() for call in calls))
    cells = [["call", *results], ["---"] * (len(results) + 1)]
    cells += [[row, *(calls.get(row, "") for calls in results.values())] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LauncherError as error:
        sys.exit(f"error: {error}")
