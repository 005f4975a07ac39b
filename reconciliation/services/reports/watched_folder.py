"""Takes in the settlement reports that another program puts into a folder of their PSP account.

REPORTS_FOLDER has one folder for each account, called by its code. That program writes a file under
a name that counts as incomplete, and renames it when it is whole. Files stay as they are: they are
neither moved nor deleted, and read once.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.db import transaction

from payments.clock import now_utc
from payments.models import PspAccount
from payments.services.cases.opening import case_about_account, open_case
from payments.services.jobs.backoff import next_attempt
from payments.states import CaseKind
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementReport, WatchedFile
from reconciliation.services.reports.archive import NoSuchAccount, account_of, store_report
from reconciliation.services.reports.fetching import SWEPT_BYTES_MAX, TooLarge

logger = logging.getLogger(__name__)

_Version = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""

ACTOR: Final = "job:watched_folder"
SWEEP_SECONDS: Final = 5.0
INCOMPLETE_SUFFIXES: Final = (".part", ".tmp", ".filepart")
"""And names that begin with a dot: files that are still being written."""


def import_watched_files() -> int:
    """Take in new files of all watched folders; returns how many reports came.

    Bounded in time. Safe to repeat, and several workers may run it at once.
    """
    end = time.monotonic() + SWEEP_SECONDS
    came = 0
    for account, path, version in _new_files():
        if time.monotonic() >= end:
            break
        came += _take_in(account, path, version)
    return came


def _new_files() -> Iterator[tuple[PspAccount, Path, _Version]]:
    """Complete files that are not known as they are now, or are to be tried again."""
    root = settings.REPORTS_FOLDER
    for folder in sorted(Path(root).iterdir()) if root else []:
        if not folder.is_dir():
            continue
        try:
            account = account_of(folder.name)
        except NoSuchAccount:
            logger.error("alert: %s is no folder of a PSP account with credentials", folder.name)
            continue
        rows = {each.name: each for each in WatchedFile.objects.filter(psp_account=account)}
        for path in sorted(folder.iterdir()):
            known, version = rows.get(path.name[:128]), _version_of(path)
            if version is not None and _is_to_be_read(version, known):
                yield account, path, version


def _version_of(path: Path) -> _Version | None:
    """Size and time of a complete file; None for anything else."""
    is_incomplete = path.name.startswith(".") or path.name.endswith(INCOMPLETE_SUFFIXES)
    if is_incomplete or path.is_symlink() or not path.is_file():
        return None
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _is_to_be_read(version: _Version, known: WatchedFile | None) -> bool:
    if known is None or (known.size_bytes, known.modified_ns) != version:
        return True
    return known.next_attempt_at is not None and known.next_attempt_at <= now_utc()


def _take_in(account: PspAccount, path: Path, version: _Version) -> bool:
    """Store one file, and note what became of it; returns whether a new report came."""
    try:
        with tempfile.TemporaryFile() as copy:
            _copy(path, copy, size_bytes=version[0])
            if _version_of(path) != version:
                return False  # It is still being written; the next sweep looks again.
            stored = store_report(account=account, name=path.name, file=copy, imported_by=ACTOR)
    except Exception as failure:
        logger.exception("%s of %s was not taken in", path.name, account.code)
        _record_failure(account, path, version, failure)
        return False
    _record(account, path, version, report=stored.report)
    return stored.is_new


def _copy(path: Path, copy: BinaryIO, *, size_bytes: int) -> None:
    """What is looked through and stored does not change, whatever happens to the file."""
    if size_bytes > SWEPT_BYTES_MAX:
        raise TooLarge(f"it has more than {SWEPT_BYTES_MAX} bytes: --import takes it in")
    with path.open("rb") as file:
        shutil.copyfileobj(file, copy)


def _record(
    account: PspAccount,
    path: Path,
    version: _Version,
    *,
    report: SettlementReport | None,
    **rest: Any,
) -> None:
    said: dict[str, Any] = {"size_bytes": version[0], "modified_ns": version[1], "report": report}
    said |= {"failing_since": None, "next_attempt_at": None, "last_error": "", **rest}
    named = {"psp_account": account, "name": path.name[:128]}
    if not WatchedFile.objects.filter(**named).update(**said):
        WatchedFile.objects.create(**named, **said, found_at=now_utc())


def _record_failure(account: PspAccount, path: Path, version: _Version, failure: Exception) -> None:
    """Try again later, and this version no more if it can never be taken in: then a case opens."""
    error = clean_text(f"{type(failure).__name__}: {failure}", most=500)
    with transaction.atomic(durable=True):
        if isinstance(failure, ValueError | TooLarge):
            _record(account, path, version, report=None, last_error=error)
            open_case(
                case_about_account(
                    CaseKind.CONTRADICTION,
                    account,
                    f"The file {path.name[:128]} of the folder of {account.code} is refused: "
                    f"{error}.",
                    subject=f"file {path.name} ({account.code})"[-128:],
                    discrepancy=Discrepancy.FILE_UNREADABLE,
                )
            )
            return
        known = WatchedFile.objects.filter(psp_account=account, name=path.name[:128]).first()
        now = now_utc()
        since = (known.failing_since if known else None) or now
        _record(
            account,
            path,
            version,
            report=None,
            last_error=error,
            failing_since=since,
            next_attempt_at=next_attempt(now, since=since),
        )
