"""Which rows of payments are sealed with the books, and the daily check of the hash chain."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.seal_verification import check_blocks
from ledger.seals import SealedSource, add_source, unsealed_seconds
from payments import public_ids
from payments.services.verification.daily import STEP_SECONDS, Step, add_part
from payments.services.verification.findings import Finding
from payments.services.verification.rebuild import one_snapshot

PART: Final = "seals"
BLOCKS_PER_STEP: Final = 25
UNSEALED_SECONDS_MAX: Final = 3_600.0
"""Rows are sealed every minute, unless a long transaction announced ids before."""

# Times as microseconds, as in `ledger.seals`.
EVENTS: Final = SealedSource(
    name="events",
    rows_sql="""
        SELECT v.id AS cut, uuid_send(v.id) AS key, sha256(convert_to(jsonb_build_array(
                   v.id, v.merchant_id, v.livemode, v.aggregatetype, v.aggregateid, v.seq, v.type,
                   v.payload, v.api_version, v.actor, v.request_id, v.idempotency_key,
                   (extract(epoch FROM v.created_at) * 1000000)::bigint)::text, 'UTF8')) AS hash
          FROM payments_event v WHERE v.id >= %(first)s AND v.id < %(until)s""",
    cut_sql="SELECT id FROM payments_event WHERE id >= %s AND id < %s ORDER BY id",
    name_of=lambda key: f"event {public_ids.encode(public_ids.EVENT, UUID(bytes=key))}",
)
ACTS: Final = SealedSource(
    name="audit",
    rows_sql="""
        SELECT a.id AS cut, uuid_send(a.id) AS key, sha256(convert_to(jsonb_build_array(
                   a.id, a.act, a.result, a.refusal, a.actor, a.staff_id, a.service_id, a.source,
                   a.request_id, a.subject, a.object_id, a.merchant_id, a.psp_account_id,
                   a.intent_id, a.approval_id, a.livemode, a.changes, a.reason,
                   (extract(epoch FROM a.created_at) * 1000000)::bigint)::text, 'UTF8')) AS hash
          FROM payments_audit_entry a WHERE a.id >= %(first)s AND a.id < %(until)s""",
    cut_sql="SELECT id FROM payments_audit_entry WHERE id >= %s AND id < %s ORDER BY id",
    name_of=lambda key: f"audit entry {UUID(bytes=key)}",
)


def register() -> None:
    """Have the rows sealed, and the chain checked with the books; called when the app is ready."""
    add_source(EVENTS)
    add_source(ACTS)
    add_part(PART, check_seals_daily)


def check_seals_daily(position: UUID) -> Step:
    """The next blocks of the chain, on one snapshot and within the time of a step."""
    with one_snapshot(seconds_most=STEP_SECONDS):
        found, last = check_blocks(position.int, count=BLOCKS_PER_STEP)
        waiting_seconds = unsealed_seconds() if last is None else 0.0
    if waiting_seconds > UNSEALED_SECONDS_MAX:
        found.append(f"seals: rows wait to be sealed for {waiting_seconds:.0f} s")
    findings = [Finding(PART, sentence) for sentence in found]
    return Step(findings, None if last is None else UUID(int=last))
