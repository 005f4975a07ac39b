"""Finance imports a settlement report in the console: a preview first, then the same file."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse

from payments.tests.admin.console import Console, log_in
from payments.tests.support.shop import Shop
from reconciliation.models import ReportChunk, SettlementReport
from reconciliation.tests.support.settling import CHARGES, Settling, money_rows, speak_plainly

CARD = b"l1 4242424242424242 x 100 0\n"


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(shop, monkeypatch)
    return Settling(shop)


def finance() -> Console:
    """A person with the role finance."""
    console = log_in()
    User.objects.get(username="reader").groups.add(Group.objects.get(name="finance"))
    return console


def send(console: Console, settling: Settling, body: bytes, step: str, **given: Any) -> Any:
    file = SimpleUploadedFile("march.csv", body)
    data = {"account": settling.shop.account.code, "file": file, step: ""}
    url = reverse("admin:reconciliation_settlementreport_import_report")
    return console.client.post(url, data | given)


def digest_of(answer: Any) -> str:
    return str(answer.context_data["digest"])


def written() -> tuple[Any, ...]:
    return money_rows(), SettlementReport.objects.count(), ReportChunk.objects.count()


def test_a_file_is_previewed_then_imported_and_a_second_time_changes_nothing(
    plain: Settling,
) -> None:
    console, before = finance(), written()
    seen = send(console, plain, CHARGES, "preview")
    assert "3 lines: 3 new, 0 known. Nothing was written." in seen.content.decode()
    assert written() == before
    digest = digest_of(seen)
    answer = send(console, plain, CHARGES, "import", previewed_sha256=digest)
    [report] = SettlementReport.objects.all()
    assert answer.url == reverse("admin:reconciliation_settlementreport_change", args=[report.pk])
    assert (report.name, report.imported_by) == ("march.csv", "staff:reader")
    assert (report.body_sha256, report.status) == (digest, "stored")
    after = written()
    again = send(console, plain, CHARGES, "import", previewed_sha256=digest)
    assert "It was here already" in console.client.get(again.url).content.decode()
    assert written() == after


@override_settings(REPORT_UPLOAD_BYTES_MAX=1_000)
@pytest.mark.parametrize(
    ("body", "given", "why"),
    [
        (b"l1 charge cap_1 1000 0\ncut\n", {}, "row 2 is cut"),
        (b"", {}, "empty"),
        (CARD, {}, "card number"),
        (CHARGES * 40, {}, "more than 1000 bytes"),
        (CHARGES, {"account": "nowhere"}, "Select a valid choice"),
        (CHARGES, {"file": ""}, "required"),
        (CHARGES, {}, "not the file that was previewed"),
        (CHARGES, {"previewed_sha256": "0" * 64}, "not the file that was previewed"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason_and_nothing_is_written(
    plain: Settling, body: bytes, given: dict[str, Any], why: str
) -> None:
    console, before = finance(), written()
    answer = send(console, plain, body, "import", **given)
    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert written() == before


def test_only_finance_sees_the_page_and_only_with_its_token(plain: Settling) -> None:
    url, before = reverse("admin:reconciliation_settlementreport_import_report"), written()
    assert reverse("admin:login") in Client().post(url).headers["Location"]
    console = log_in()
    reader = User.objects.get(username="reader")
    reader.user_permissions.add(Permission.objects.get(codename="view_settlementreport"))
    assert url not in console.list(SettlementReport).content.decode()
    assert console.client.get(url).status_code == 403
    assert send(console, plain, CHARGES, "preview").status_code == 403
    reader.groups.add(Group.objects.get(name="finance"))
    assert url in console.list(SettlementReport).content.decode()
    assert console.client.get(url).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(reader, backend="django.contrib.auth.backends.ModelBackend")
    assert send(Console(strict), plain, CHARGES, "preview").status_code == 403
    assert written() == before
