"""Checks the hash chain: names each row that was changed, deleted or added after it was sealed.

Also the head of the chain: exported, signed by a key that is not in the database, and compared
later. Without a head that is kept outside, a superuser could make the whole chain anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.models import Seal
from ledger.seals import (
    FINGERPRINT_BYTES,
    FORMAT,
    KEY_BYTES,
    SOURCES,
    SealedSource,
    content_of,
    seal_hash,
)

NAMED_PER_BLOCK: Final = 20
"""Rows of one block that are named, at most."""
_LEAF_BYTES: Final = KEY_BYTES + FINGERPRINT_BYTES
_HEAD_FORMAT: Final = "ledger-head-1"


class HeadDiffers(ValueError):
    """A head that was exported is not in the chain, or its signature is wrong; says how."""


def seal_differences() -> Iterator[str]:
    """One sentence for each difference of the whole chain. Call it on one database snapshot."""
    position: int | None = 0
    while position is not None:
        found, position = check_blocks(position, count=50)
        yield from found


def check_blocks(after: int, *, count: int) -> tuple[list[str], int | None]:
    """Check the next `count` blocks after a number; what differs, and where the next begin.

    The second value is None at the end of the chain.
    """
    blocks = list(Seal.objects.filter(number__gt=after).order_by("number")[:count])
    before = Seal.objects.filter(number__lte=after).order_by("-number").first()
    ends = _ends_before(after)
    found: list[str] = []
    for block in blocks:
        found += _chain_differences(block, before, ends)
        found += _row_differences(block)
        before, ends[block.source] = block, block.until_id
    return found, blocks[-1].number if len(blocks) == count else None


def _ends_before(after: int) -> dict[str, UUID]:
    """Up to which id each source is sealed by the blocks up to a number."""
    ends = {}
    for source in Seal.objects.filter(number__lte=after).values_list("source").distinct():
        last = Seal.objects.filter(number__lte=after, source=source[0]).order_by("-number")[0]
        ends[source[0]] = last.until_id
    return ends


def _chain_differences(block: Seal, before: Seal | None, ends: Mapping[str, UUID]) -> Iterator[str]:
    expected = 1 if before is None else before.number + 1
    if block.number != expected:
        yield f"seals: blocks {expected} to {block.number - 1} are missing"
    elif before is not None and bytes(block.previous_sha256) != bytes(before.sha256):
        yield f"seals: block {block.number} does not follow block {before.number}"
    if bytes(block.sha256) != seal_hash(block):
        yield f"seals: block {block.number} was changed"
    if block.first_id != ends.get(block.source, UUID(int=0)):
        yield f"seals: block {block.number} leaves out rows of {block.source}"


def _row_differences(block: Seal) -> Iterator[str]:
    source = SOURCES.get(block.source)
    if source is None or block.format != FORMAT:
        yield f"seals: block {block.number} is of {block.source}, format {block.format}: unknown"
        return
    content = content_of(source, block.first_id, block.until_id)
    if content.rows == block.rows and content.content_sha256 == bytes(block.content_sha256):
        return
    named = list(_named_rows(source, bytes(block.leaves), content.leaves))
    for sentence in named[:NAMED_PER_BLOCK] or ["its rows are not those that were sealed"]:
        yield f"seals: block {block.number} ({block.source}): {sentence}"
    if len(named) > NAMED_PER_BLOCK:
        yield f"seals: block {block.number}: {len(named) - NAMED_PER_BLOCK} further rows differ"


def _named_rows(source: SealedSource, sealed: bytes, present: bytes) -> Iterator[str]:
    was, now = _by_key(sealed), _by_key(present)
    for key, fingerprint in was.items():
        if key not in now:
            yield f"{source.name_of(key)} was deleted"
        elif now[key] != fingerprint:
            yield f"{source.name_of(key)} was changed"
    for key in now.keys() - was.keys():
        yield f"{source.name_of(key)} was added after it was sealed"


def _by_key(leaves: bytes) -> dict[bytes, bytes]:
    parts = (leaves[at : at + _LEAF_BYTES] for at in range(0, len(leaves), _LEAF_BYTES))
    return {part[:KEY_BYTES]: part[KEY_BYTES:] for part in parts}


def head_of_chain() -> dict[str, Any] | None:
    """Number, hash and time of the newest block; None before the first."""
    head = Seal.objects.order_by("-number").first()
    if head is None:
        return None
    return {
        "format": _HEAD_FORMAT,
        "number": head.number,
        "sha256": bytes(head.sha256).hex(),
        "sealed_at": f"{head.sealed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "exported_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def signed(head: Mapping[str, Any], private_key_pem: bytes) -> dict[str, Any]:
    """The head with an Ed25519 signature; ValueError if the PEM is no such key."""
    key = serialization.load_pem_private_key(private_key_pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key is no Ed25519 key")
    signature = base64.b64encode(key.sign(_signed_bytes(head))).decode()
    return {**head, "signature": signature}


def require_head(head: Mapping[str, Any], public_key_pem: bytes | None = None) -> None:
    """Compare a head with the chain, and its signature if there is a public key.

    Raises HeadDiffers.
    """
    if head.get("format") != _HEAD_FORMAT:
        raise HeadDiffers("this is no exported head of the ledger")
    if public_key_pem is not None:
        _require_signature(head, public_key_pem)
    block = Seal.objects.filter(number=head["number"]).first()
    if block is None:
        raise HeadDiffers(f"block {head['number']}, exported {head['exported_at']}, is gone")
    if bytes(block.sha256).hex() != head["sha256"]:
        raise HeadDiffers(
            f"block {head['number']} is not the one that was exported {head['exported_at']}: the "
            "chain was made anew"
        )


def new_signing_key() -> tuple[bytes, bytes]:
    """A new Ed25519 key as PEM: the private one, and the public one."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def _require_signature(head: Mapping[str, Any], public_key_pem: bytes) -> None:
    key = serialization.load_pem_public_key(public_key_pem)
    if not isinstance(key, Ed25519PublicKey):
        raise HeadDiffers("the public key is no Ed25519 key")
    try:
        key.verify(base64.b64decode(head.get("signature", "")), _signed_bytes(head))
    except (InvalidSignature, ValueError):
        raise HeadDiffers("the head was not signed with this key, or was changed") from None


def _signed_bytes(head: Mapping[str, Any]) -> bytes:
    terms = {name: value for name, value in head.items() if name != "signature"}
    return json.dumps(terms, sort_keys=True, separators=(",", ":")).encode()
