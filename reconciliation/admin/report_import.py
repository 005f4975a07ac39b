"""Takes a settlement report in the console: a preview first, then the import of the same file.

A preview writes nothing, so nothing waits between both steps: the file is sent again, and its
SHA-256 says that it is the one that was previewed.
"""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from payments.admin.staff import author_at_console
from payments.models import PspAccount
from psp_adapters.registry import BadCredentials
from reconciliation.models import SettlementReport
from reconciliation.services.matching.preview import Preview, lines_of, preview_report
from reconciliation.services.reports.archive import import_report as store_import

PERMISSION: Final = "reconciliation.import_settlementreport"


class ImportForm(forms.Form):
    """A file, and whose report it is."""

    account = forms.ModelChoiceField(
        PspAccount.objects.exclude(sealed_credentials="").order_by("code"),
        to_field_name="code",
        widget=UnfoldAdminSelectWidget,
    )
    file = forms.FileField(max_length=128, widget=UnfoldAdminFileFieldWidget)
    previewed_sha256 = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        most = settings.REPORT_UPLOAD_BYTES_MAX
        if file.size is None or file.size > most:
            raise forms.ValidationError(
                f"It has more than {most} bytes: manage.py settlement_reports --import takes it "
                "in, or a watched folder."
            )
        return file


def import_report(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page: shows what a file would change, or takes in the file that was previewed."""
    form = ImportForm(request.POST or None, request.FILES or None)
    preview, digest = None, ""
    if form.is_valid():
        file = _opened(form)
        digest = _digest_of(form.cleaned_data["file"])
        preview = _previewed(form, file)
    if preview is not None and "import" in request.POST:
        if digest == form.cleaned_data["previewed_sha256"]:
            return _imported(request, form)
        form.add_error("file", "This is not the file that was previewed. Nothing was written.")
        preview = None
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": "Import a settlement report",
        "form": form,
        "told": [] if preview is None else lines_of(preview),
        "digest": "" if preview is None else digest,
        "needs_an_operator": preview is not None and preview.needs_an_operator,
    }
    return TemplateResponse(request, "admin/reconciliation/import_report.html", context)


def _digest_of(file: UploadedFile) -> str:
    digest = hashlib.sha256()
    for piece in file.chunks():
        digest.update(piece)
    return digest.hexdigest()


def _opened(form: ImportForm) -> BinaryIO:
    """The file, on disk if it is large."""
    uploaded: Any = form.cleaned_data["file"]
    file: BinaryIO = uploaded.file
    file.seek(0)
    return file


def _previewed(form: ImportForm, file: BinaryIO) -> Preview | None:
    """What the file would change; None, with the reason in the form, if it is refused."""
    try:
        preview = preview_report(form.cleaned_data["account"], file)
    except (ValueError, BadCredentials) as reason:
        form.add_error("file", f"{reason}. Nothing was written.")
        return None
    if preview.flaw:
        form.add_error(
            "file",
            f"This is no whole report of {form.cleaned_data['account']}: {preview.flaw}. Nothing "
            "was written.",
        )
        return None
    return preview


def _imported(request: HttpRequest, form: ImportForm) -> HttpResponse:
    report = _stored(request, form)
    if report is None:
        return HttpResponseRedirect(reverse("admin:reconciliation_settlementreport_changelist"))
    url = reverse("admin:reconciliation_settlementreport_change", args=[report.pk])
    return HttpResponseRedirect(url)


def _stored(request: HttpRequest, form: ImportForm) -> SettlementReport | None:
    try:
        stored = store_import(
            account=form.cleaned_data["account"],
            name=form.cleaned_data["file"].name,
            file=_opened(form),
            author=author_at_console(request),
        )
    except ValueError as reason:
        messages.error(request, f"{reason}. Nothing was written.")
        return None
    if stored.is_new:
        messages.success(request, "It is stored. Its lines are read and matched within a minute.")
    else:
        messages.info(request, "It was here already: nothing has changed.")
    return stored.report
