"""Puts an export into a folder with its manifest, under its name only when it is whole; and checks
a file against its manifest by adding it up once more.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from reconciliation.services.exports.cells import minor_of, written_totals
from reconciliation.services.exports.declaration import CURRENCY, Chosen, Export, Period
from reconciliation.services.exports.writing import Manifest, SayRows, write_export

PART: Final = ".part"
"""How the name of a file ends while it is written."""
_READABLE: Final = 0o640


def name_of_file(export: Export, chosen: Chosen) -> str:
    """Such as `journal_2026-11-27.csv`, or `journal_2026-11-01_2026-11-30.csv`."""
    is_span = export.period is Period.SPAN and chosen.first != chosen.last
    period = f"{chosen.first}_{chosen.last}" if is_span else f"{chosen.last}"
    return f"{export.name}_{period}.csv"


def manifest_of(path: Path) -> Path:
    """Where the manifest of a file is."""
    return path.with_name(f"{path.name}.manifest.json")


def write_file(
    export: Export,
    chosen: Chosen,
    path: Path,
    *,
    seconds_most: float | None = None,
    say_rows: SayRows | None = None,
) -> Manifest:
    """Write the file and its manifest; nothing has its name before it is whole, on disk.

    Raises FileExistsError if either is there: nothing is overwritten. The manifest comes first, so
    a program that finds the file finds it too. A folder of a file system without hard links is an
    OSError.
    """
    for place in (path, manifest_of(path)):
        if place.exists():
            raise FileExistsError(f"{place} is there already")
    with _part_of(path) as (part, file), _part_of(manifest_of(path)) as (said_part, said):
        manifest = write_export(export, chosen, file, seconds_most=seconds_most, say_rows=say_rows)
        said.write(json.dumps(manifest.as_json(path.name), indent=2).encode() + b"\n")
        for written in (said, file):
            written.flush()
            os.fsync(written.fileno())
        # A link is refused if the name is taken, and a rename is not.
        os.link(said_part, manifest_of(path))
        os.link(part, path)
    _sync_folder(path.parent)
    return manifest


def faults_of(path: Path) -> list[str]:
    """What is wrong with a file by its manifest, a sentence each; none if it is whole and
    unchanged."""
    said = json.loads(manifest_of(path).read_text())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = {"bytes": path.stat().st_size, "sha256": digest, **_added_up(path, said["totals"])}
    return [
        f"{name} is {value}, by the manifest {said[name]}"
        for name, value in found.items()
        if value != said[name]
    ]


def _added_up(path: Path, said: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Rows and totals of the file itself, of the columns that the manifest names."""
    names = list(dict.fromkeys(chain.from_iterable(said.values())))
    sums: dict[str, list[int]] = {}
    rows = 0
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            if names:
                currency = row[CURRENCY]
                totals = sums.setdefault(currency, [0] * len(names))
                for number, name in enumerate(names):
                    totals[number] += minor_of(row[name], currency) if row[name] else 0
    return {"rows": rows, "totals": written_totals(names, sums) if names else dict(said)}


@contextmanager
def _part_of(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file beside it that goes away, whether its content was linked to the name or not."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=PART, dir=path.parent)
    try:
        os.fchmod(descriptor, _READABLE)
        with os.fdopen(descriptor, "wb") as file:
            yield Path(name), file
    finally:
        os.unlink(name)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
