"""What the load generator sends and reads."""

import pytest

from bench.load import Specification, content_length, request_bytes

GIVEN = Specification(
    host="127.0.0.1",
    port=80,
    path="/v1/payment_intents",
    secret_key="sk",
    run="r",
    connections=1,
    seconds=1,
)


def test_no_two_payments_share_a_key_or_an_order() -> None:
    first, second = request_bytes(GIVEN, 1), request_bytes(GIVEN, 2)
    assert b"Idempotency-Key: key-r-1\r\n" in first
    assert b"Idempotency-Key: key-r-2\r\n" in second
    assert first.endswith(b"metadata%5Border_id%5D=order-r-1")


def test_the_announced_length_is_that_of_the_body() -> None:
    head, _, body = request_bytes(GIVEN, 12345).partition(b"\r\n\r\n")
    assert content_length(head) == len(body)


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        content_length(b"HTTP/1.1 200 OK\r\nServer: x")
