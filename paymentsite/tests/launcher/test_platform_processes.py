"""Which processes the launcher starts."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from payments.services.event_stream.effects import EFFECTS
from paymentsite.launcher import platform_processes


def test_an_example_consumer_of_each_group_runs_by_default(
    tmp_path: Path,
) -> None:
    assert set(platform_processes.EXAMPLE_GROUPS) == set(EFFECTS) == set(settings.STREAM_GROUPS)
    consumers = platform_processes.consumers(tmp_path, {})
    assert consumers is not None
    assert consumers.command[-6:] == [
        *("--group", "finance", "--group", "support", "--group", "fraud")
    ]
    for variables, expected in (
        ({"STREAM_GROUPS": "fraud,risk"}, ["fraud"]),
        ({"STREAM_EXAMPLES": "support, finance"}, ["finance", "support"]),
        ({"STREAM_EXAMPLES": "none"}, []),
        ({"STREAM_GROUPS": "risk"}, []),
    ):
        assert platform_processes.example_groups(variables) == expected
    assert platform_processes.consumers(tmp_path, {"STREAM_EXAMPLES": "none"}) is None
