"""Runs `demo`: starts everything, plays one business day through the API, then keeps serving."""

from __future__ import annotations

import os

from paymentsite.launcher.progress import say
from paymentsite.launcher.serving import everything, keep_serving, run_beside, show_addresses


def demo() -> int:
    """Play the day, then keep serving. With ONCE=1 stop after it and return its exit code."""
    once = os.environ.get("ONCE", "") not in ("", "0")
    with everything() as running:
        show_addresses(running.facts)
        verdict = run_beside(running, ["play_demo_day"])
        if verdict:
            say(f"the day did not end well: play_demo_day ended with code {verdict}")
        if once:
            return verdict
        show_addresses(running.facts)
        return keep_serving(running.supervisor)
