"""The search query language: what it accepts, and what each refusal says to do."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.exceptions import InvalidParameter
from payments.selectors.search_query import Clause, SearchQuery, parse_query
from paymentsite.tests.fixtures.matrix import examples


def clause(field: str, operator: str, value: str | None, **more: str | bool) -> Clause:
    return Clause(field=field, operator=operator, value=value, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "clauses", "any_of"),
    [
        ('status:"succeeded"', [clause("status", ":", "succeeded")], False),
        ("amount>=1000", [clause("amount", ">=", "1000")], False),
        ('amount:"1000"', [clause("amount", ":", "1000")], False),
        ('-currency:"usd"', [clause("currency", ":", "usd", negated=True)], False),
        (
            "-metadata['k']:NULL",
            [clause("metadata", ":", None, key="k", negated=True)],
            False,
        ),
        (
            r'metadata["a \"b\""]:"c\\d\"e" and amount < 5',
            [clause("metadata", ":", r'c\d"e', key='a "b"'), clause("amount", "<", "5")],
            False,
        ),
        (
            'email~"a AND b" name:"OR"',
            [clause("email", "~", "a AND b"), clause("name", ":", "OR")],
            False,
        ),
        (
            'status:"x"  OR\n-payment_method_details.card.last4:4242',
            [
                clause("status", ":", "x"),
                clause("payment_method_details.card.last4", ":", "4242", negated=True),
            ],
            True,
        ),
        ('status:"null"', [clause("status", ":", "null")], False),
    ],
)
def test_a_query_is_read_as_it_is_meant(text: str, clauses: list[Clause], any_of: bool) -> None:
    assert parse_query(text) == SearchQuery(tuple(clauses), any_of)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("   ", "a field was expected"),
        ("succeeded", "one of : ~ < > <= >="),
        ("status:succeeded", "double quotes"),
        ('status:"succeeded', "double quotes"),
        ('status="x"', "one of : ~"),
        ('metadata:"x"', 'metadata["key"]'),
        ('metadata[k]:"x"', 'metadata["key"]'),
        ('a:"x" AND b:"y" OR c:"z"', "cannot be mixed"),
        ('a:"x" b:"y" OR c:"z"', "cannot be mixed"),
        ('(a:"x") AND b:"y"', "no parentheses"),
        ('a:"x" AND', "one of : ~"),
        ('a:"x" AND ', "at its end, a field was expected"),
        ("amount>1.5", "double quotes"),
        (" ".join(['a:"x"'] * 21), "more than 20 clauses"),
    ],
)
def test_a_wrong_query_is_refused_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse_query(text)
    assert (refused.value.param, refused.value.code) == ("query", "query_invalid")
    assert says in refused.value.message


PIECES = "aé\"'\\ []:-\n(~"
PARTS = st.sampled_from(
    [
        *("status", "metadata", "amount", ":", "~", ">=", "-", '"', "'", "\\", "[", "]", "null"),
        *("1", " ", "AND", " OR ", '"x"', '["k"]', "(", "é", "\n", "."),
    ]
)


@given(st.lists(PARTS, max_size=12).map("".join))
@settings(max_examples=examples(60, whole=2_000))
def test_every_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidParameter):
        assert parse_query(text).clauses


@given(st.text(PIECES, max_size=9), st.text(PIECES, max_size=9))
@settings(max_examples=examples(30, whole=1_000))
def test_any_text_can_be_written_between_quotes(key: str, value: str) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    [found] = parse_query(f"metadata[{quoted(key)}]:{quoted(value)}").clauses
    assert (found.key, found.value) == (key, value)
