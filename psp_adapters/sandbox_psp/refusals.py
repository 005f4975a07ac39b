"""The exception of a refused request, which becomes the error answer."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Refusal(Exception):
    """The request is refused without any effect; nothing is stored for its idempotency key."""

    def __init__(self, status: int, kind: str, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.message = message

    def body(self) -> dict[str, object]:
        error = {"type": self.kind, "code": self.code, "message": self.message}
        return {"error": error}


def found(thing: T | None, what: str) -> T:
    """The thing that was looked up; refuses with 404 if there is none."""
    if thing is None:
        raise Refusal(404, "not_found", f"no such {what}", code=f"{what}_unknown")
    return thing


def invalid(message: str, *, code: str = "invalid_parameter") -> Refusal:
    """The request itself is wrong."""
    return Refusal(400, "invalid_request", message, code=code)


def forbidden_now(code: str, message: str) -> Refusal:
    """The request is well-formed, but the payment's state does not allow it."""
    return Refusal(400, "invalid_state", message, code=code)
