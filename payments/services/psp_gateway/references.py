"""Our permanent reference of an operation at the PSP."""

from __future__ import annotations

from uuid import UUID

from payments import public_ids


def reference_of(operation_id: UUID) -> str:
    """Our permanent reference of an operation at the PSP."""
    return public_ids.encode(public_ids.OPERATION, operation_id)


def operation_id_of(reference: str) -> UUID | None:
    """The operation that one of our references names; None if it is none of ours."""
    return public_ids.decode(public_ids.OPERATION, reference)
