"""What every adapter must make of notifications, as tests to inherit; nothing of any PSP.

Subclass `NotificationContract`, say how the PSP signs and what a genuine notification looks like,
and provide the fixture `adapter`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "the secret of this endpoint"
OTHER_SECRET = "the secret of another endpoint"


class NotificationContract:
    """Inherit, and implement the first five."""

    def signed(self, body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
        """The headers with which the PSP sends these bytes."""
        raise NotImplementedError

    def with_signature(self, headers: dict[str, str], signature: str) -> dict[str, str]:
        """The same headers with another text in place of the signature proper."""
        raise NotImplementedError

    def genuine(self, adapter: PspAdapter, **changes: Any) -> bytes:
        """The body of a notification of this account; `type`, `account` or `id` changed."""
        raise NotImplementedError

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        """Headers in the PSP's own form that must be refused."""
        raise NotImplementedError

    signature_header: str

    def read(
        self,
        adapter: PspAdapter,
        body: bytes,
        headers: Mapping[str, str],
        *,
        secrets: Sequence[str] = (SECRET,),
        now: datetime = NOW,
    ) -> Notification:
        request = WebhookRequest(headers=headers, body=body)
        [found] = adapter.read_notifications(request, secrets=secrets, now=now)
        return found

    def refused(self, adapter: PspAdapter, body: bytes, headers: Any, **more: Any) -> None:
        started = time.perf_counter()
        with pytest.raises(NotificationRefused):
            self.read(adapter, body, headers, **more)
        assert time.perf_counter() - started < 0.5

    def test_a_genuine_notification_is_read(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        read = self.read(adapter, body, self.signed(body))
        assert read.known
        assert read.event_id
        assert read.references
        assert read.occurred_at.tzinfo is not None
        assert self.signature_header.lower() in read.signature_headers

    def test_a_replay_is_recognized_by_its_event(self, adapter: PspAdapter) -> None:
        """The same event signed again later, as the PSP repeats it; an old delivery is refused."""
        body = self.genuine(adapter)
        first = self.read(adapter, body, self.signed(body))
        later = NOW + timedelta(hours=1)
        again = self.read(adapter, body, self.signed(body, at=later), now=later)
        assert again.event_id == first.event_id
        self.refused(adapter, body, self.signed(body), now=later)

    def test_the_case_of_header_names_does_not_matter(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        headers = {name.upper(): value for name, value in self.signed(body).items()}
        assert self.read(adapter, body, headers).known

    def test_an_unknown_type_is_read_as_unknown(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter, type="something.new")
        read = self.read(adapter, body, self.signed(body))
        assert (read.known, read.type) == (False, "something.new")

    def test_a_notification_of_another_account_is_refused(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter, account="another-account")
        self.refused(adapter, body, self.signed(body))

    def test_no_signature_is_refused(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        self.refused(adapter, body, {})
        self.refused(adapter, body, {self.signature_header: ""})

    def test_another_secret_is_refused(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        self.refused(adapter, body, self.signed(body, secret=OTHER_SECRET))

    def test_a_changed_body_is_refused(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        headers = self.signed(body)
        self.refused(adapter, body + b" ", headers)
        self.refused(adapter, b"", headers)

    def test_the_window_has_two_sides(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        for seconds in (-300, 0, 300):
            headers = self.signed(body, at=NOW + timedelta(seconds=seconds))
            assert self.read(adapter, body, headers).known
        for seconds in (-301, 301, 10 * 366 * 86_400, -10 * 366 * 86_400):
            headers = self.signed(body, at=NOW + timedelta(seconds=seconds))
            self.refused(adapter, body, headers)

    def test_during_a_rotation_either_secret_is_accepted(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        old, new = self.signed(body), self.signed(body, secret=OTHER_SECRET)
        both = (SECRET, OTHER_SECRET)
        assert self.read(adapter, body, old, secrets=both).known
        assert self.read(adapter, body, new, secrets=both).known
        self.refused(adapter, body, old, secrets=(OTHER_SECRET,))

    @pytest.mark.parametrize("secrets", [(), ("",), ("", SECRET)])
    def test_without_a_secret_everything_is_refused(
        self, adapter: PspAdapter, secrets: tuple[str, ...]
    ) -> None:
        body = self.genuine(adapter)
        self.refused(adapter, body, self.signed(body, secret=""), secrets=secrets)

    @pytest.mark.parametrize(
        "signature",
        ["ü" * 64, "\udcff" * 64, "0" * 63, "zz", "1e9", "nan", "9" * 5000, "a=b=c", "\x00"],
    )
    def test_a_malformed_signature_is_refused(self, adapter: PspAdapter, signature: str) -> None:
        body = self.genuine(adapter)
        self.refused(adapter, body, self.with_signature(self.signed(body), signature))

    def test_headers_in_bad_form_are_refused(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        bad = self.bad_headers(body)
        assert bad
        for headers in bad:
            self.refused(adapter, body, headers)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b"hello",
            b"5",
            b"{}",
            b'"text"',
            b"\xff\xfe\x00",
            b"\x80 is no UTF-8",
            b'{"data": {}}',
            b'{"data": null, "id": 1}',
            b"[" * 100_000,
            b'{"data":' * 50_000,
            b'{"id": 1e400, "data": {}}',
            b'{"id": ' + b"9" * 10_000 + b', "data": {}}',
        ],
        ids=range(15),
    )
    def test_a_signed_body_without_a_notification_is_refused(
        self, adapter: PspAdapter, body: bytes
    ) -> None:
        self.refused(adapter, body, self.signed(body))
