"""What nobody killed is excused only where a fault and its own last words say so."""

from __future__ import annotations

import pytest

from bench.chaos.platform.process_ends import WAKE_SECONDS, Hurt, Kind, end_of

LOOP = "[ERROR] Unexpected exit from worker-2\n[ERROR] Worker crash loop detected, exiting\n"
NO_CHILD = "Unrecoverable error: WorkerLostError('Could not start worker processes')"
NO_REDIS = """Unrecoverable error: AttributeError("'NoneType' object has no attribute 'client'")"""


def kind_of(
    name: str, code: int, words: str, *hurt: Hurt, seconds: float = 3.0, patience: float = 1.0
) -> Kind:
    since = dict.fromkeys(hurt, seconds)
    return end_of(name, code, last_words=words, seconds_since=since, patience=patience).kind


@pytest.mark.parametrize(
    ("name", "words", "hurt"),
    [
        ("api-1", LOOP, Hurt.CHILD),
        ("worker", NO_CHILD, Hurt.CHILD),
        ("worker-routine", NO_REDIS, Hurt.REDIS),
    ],
)
def test_an_end_whose_reason_is_said_is_explained(name: str, words: str, hurt: Hurt) -> None:
    assert kind_of(name, 1, words, hurt) is Kind.EXPLAINED
    other = next(each for each in Hurt if each is not hurt)
    assert kind_of(name, 1, words, other) is Kind.UNEXPLAINED
    assert kind_of(name, 1, "nothing", hurt) is Kind.UNEXPLAINED
    assert kind_of(name, 0, words, hurt) is Kind.UNEXPLAINED
    assert kind_of("beat", 1, words, hurt) is Kind.UNEXPLAINED
    assert kind_of(name, 1, words) is Kind.UNASKED


def test_what_was_done_long_ago_excuses_nothing() -> None:
    long_ago = WAKE_SECONDS + 1
    assert kind_of("relay-1", 0, "", Hurt.STOPPED) is Kind.UNEXPLAINED
    assert kind_of("relay-1", 0, "", Hurt.STOPPED, seconds=long_ago) is Kind.UNASKED
    assert kind_of("api-0", 1, LOOP, Hurt.CHILD, seconds=long_ago) is Kind.UNASKED


def test_patience_is_for_what_is_explained() -> None:
    late = {"seconds": WAKE_SECONDS + 1, "patience": 5.0}
    assert kind_of("api-0", 1, LOOP, Hurt.CHILD, **late) is Kind.EXPLAINED
    assert kind_of("relay-1", 0, "", Hurt.STOPPED, **late) is Kind.UNASKED


def test_an_end_says_what_was_done_before() -> None:
    end = end_of("relay-1", 0, last_words="", seconds_since={Hurt.STOPPED: -2.0}, patience=1.0)
    assert end.text == "relay-1 ended with code 0 soon after it was stopped"
