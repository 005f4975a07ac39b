"""Made-up history is true history: the books agree with it, and it goes on as any payment does."""

from __future__ import annotations

import json
import uuid
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from bench.growth import lives, target
from bench.growth.copies import Copies, Wanted
from bench.growth.lives import Life
from bench.growth.recording import (
    LEFT_OUT,
    LIFE_TABLES,
    MERCHANT_TABLES,
    Recorded,
    Recording,
    Row,
)
from bench.growth.scratch import record
from bench.growth.timing import Statements, api_reads, console_reads, whole_reads
from bench.growth.tokens import Draw, Reader
from bench.growth.visits import UNIT_MINOR, Psp, Visit
from bench.growth.writing import vacuum, write_history
from payments import public_ids
from payments.models import Delivery, Dispatch, PaymentIntent, PspAccount
from payments.services.verification.rebuild import differences, one_snapshot
from payments.tests.support.factories import PspAccountFactory, credentials_of, sandbox_credentials
from paymentsite.launcher.progress import LauncherError

_BEGAN = 1_764_442_240  # 2025-11-29 18:50:40
_LIVES = (
    Life(live=lives.sale, share=5),
    Life(live=lives.captured_in_part, share=2, currency="EUR"),
    Life(live=lives.refunded, share=2, currency="KWD"),
    Life(live=lives.declined_then_paid, share=1),
    Life(live=lives.open_hold, share=1, oldest_days=4),
)


def test_every_table_of_payments_and_books_is_copied_or_left_out_for_a_reason() -> None:
    tables = {
        model._meta.db_table
        for label in ("payments", "ledger")
        for model in apps.get_app_config(label).get_models()
    }
    assert tables == {*LIFE_TABLES, *MERCHANT_TABLES, *LEFT_OUT}


def _at(seconds: float) -> UUID:
    """An id made so many seconds after the recording began."""
    return uuid7(nanoseconds=_BEGAN * 10**9 + int(seconds * 1e9))


def test_a_copy_has_ids_times_and_amounts_of_its_own_in_columns_json_and_bytes() -> None:
    merchant, intent, account = _at(-1), _at(0.25), _at(-900)
    public_id = public_ids.encode("pi", intent)
    notice = json.dumps({"payment_id": "spay_" + "cd" * 10, "amount_minor": 40 * UNIT_MINOR})
    row = (
        f"{intent}\t{merchant}\t{account}\t{public_id}\t2025-11-29 18:50:40.25+00\t2025-12-01"
        f"\t2026-10-28.endive\t{20 * UNIT_MINOR - 1_500}\t{_BEGAN}\tgrown0123456789ab 100%"
        f"\t\\\\x{notice.encode().hex()}\t{sha256(notice.encode()).hexdigest()}"
    )
    life = Recorded(name="sale", share=1, oldest_days=0, currency="USD", merchant=merchant)
    life.moved["spay_" + "cd" * 10] = {"authorize": 40 * UNIT_MINOR, "capture": 20 * UNIT_MINOR}
    recording = Recording(
        columns={},
        founded_at=_BEGAN - 2.0,
        began_at=[float(_BEGAN)],
        ended_at=_BEGAN + 2.0,
        lives=[life],
        merchants={merchant: ([], "sk_test_")},
        accounts={},
        psp_account=(account, "sandbox"),
    )
    copyable = Reader(recording, given=[merchant], recorded=life).read([Row("t", 0, row)])
    draw = Draw([-86_400], 100, {merchant: UUID(int=7)}, {}, Random(3))
    [template] = copyable.templates
    copied = template.filled(copyable.values(draw)).rstrip("\n").split("\t")

    new_id = UUID(copied[0])
    assert public_ids.created_ms_of(new_id) == (_BEGAN - 86_400) * 1000 + 250
    assert copied[1:4] == [str(UUID(int=7)), str(account), public_ids.encode("pi", new_id)]
    assert copied[4:9] == [
        *("2025-11-28 18:50:40.25+00", "2025-11-30", "2026-10-28.endive", "500"),
        str(_BEGAN - 86_400),
    ]
    assert copied[9] != "grown0123456789ab 100%"
    assert copied[9].endswith(" 100%")
    told = bytes.fromhex(copied[10].removeprefix("\\\\x"))
    assert json.loads(told)["amount_minor"] == 4_000
    assert json.loads(told)["payment_id"].startswith("spay_grown_USD_4000_2000_0_0_")
    assert copied[11] == sha256(told).hexdigest()


@pytest.fixture
def account(database: None, sandbox_psp: Any, monkeypatch: pytest.MonkeyPatch) -> PspAccount:
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)
    code = f"grown-{uuid.uuid4().hex[:8]}"
    sealed = sandbox_credentials(code, sandbox_psp.base_url)
    account: PspAccount = PspAccountFactory.create(code=code, sealed_credentials=sealed)
    return account


def test_grown_history_agrees_with_the_books_and_a_payment_of_it_is_refunded_by_the_api(
    account: PspAccount, sandbox_psp: Any, database_urls: Any
) -> None:
    credentials = credentials_of(account)
    recording = record(
        psp_url=sandbox_psp.base_url,
        credentials=credentials,
        account=account,
        owner_url=database_urls.owner,
        lives=_LIVES,
    )
    recorded = PaymentIntent.objects.count()
    queued = Dispatch.objects.count()
    wanted = Wanted(payments=200, months=2, merchants=3, seed=4)
    copies = Copies(recording, wanted, psp_account=account.id)
    said: list[str] = []
    written = write_history(database_urls.owner, copies, say=said.append)
    sandbox_psp.heal()

    assert written.payments == 200
    assert PaymentIntent.objects.count() == recorded + 200
    assert Dispatch.objects.count() == queued
    assert _differences() == []
    ages = PaymentIntent.objects.order_by("id").values_list("created_at", flat=True)
    assert 45 < (ages[recorded + 199] - ages[0]).days < 62
    assert Delivery.objects.filter(status="delivered").count() == Delivery.objects.count() > 0

    psp = Psp(base_url=sandbox_psp.base_url, api_key=credentials["api_key"])
    visit = Visit(secret_key=written.secret_keys[0], psp=psp, currency="USD")
    listed = visit.get("payment_intents?limit=100")["data"]
    paid = next(each for each in reversed(listed) if each["status"] == "succeeded")
    order = paid["metadata"]["order_id"]
    found = visit.get(f"payment_intents/search?query=metadata['order_id']:'{order}'")["data"]
    assert [each["id"] for each in found] == [paid["id"]]
    refund = visit.post("refunds", payment_intent=paid["id"], amount=paid["amount_received"] // 2)
    assert refund["status"] == "succeeded"
    assert _differences() == []
    assert _whole_reads(written.secret_keys[0], database_urls.owner) == []


def _whole_reads(secret_key: str, owner_url: str) -> list[str]:
    """Statements of lists, and of searches in the console, that read a grown table to its end.

    Searches of the API have a test of their own (`payments/tests/selectors/test_search_plans.py`).
    """
    vacuum(owner_url)
    grown = [table for table in LIFE_TABLES if _rows_of(table) > 100]
    statements = Statements()
    with connection.execute_wrapper(statements):
        for name, read in (*api_reads(secret_key), *console_reads(with_filters=False)):
            if not name.startswith("search "):
                read()
        found = whole_reads(statements, grown, tables_are_small=True)
    # A filter that few rows match is not led by an index in tables as small as these.
    return [
        f"{each} in {sql}"
        for sql, reads in found.items()
        for each in reads
        if "until enough match" not in each
    ]


def _rows_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        count: int = cursor.fetchone()[0]
        return count


def test_a_database_with_a_live_account_gets_no_history(database: None, database_urls: Any) -> None:
    target.require_sandbox(database_urls.owner)
    PspAccount.objects.create(code="acquirer", psp="sandbox", livemode=True)
    with pytest.raises(LauncherError, match="acquirer is not a sandbox"):
        target.require_sandbox(database_urls.owner)


def _differences() -> list[str]:
    with one_snapshot():
        return list(differences())
