"""Run a file of an app's `sql/` folder in a migration, its placeholders filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from django.apps import apps
from django.db.migrations import RunSQL

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def run_sql_file(app: str, name: str, **values: str) -> RunSQL:
    """The operation that runs `<app>/sql/<name>.sql`, with each `{placeholder}` replaced.

    Values are put in as they are: names and lists that the code knows, never a user's text.
    Raises ValueError if the file's placeholders are not exactly the given values.
    """
    text = (Path(apps.get_app_config(app).path) / "sql" / f"{name}.sql").read_text()
    wanted = set(_PLACEHOLDER.findall(text))
    if wanted != set(values):
        raise ValueError(f"{name}.sql takes {sorted(wanted)}, given are {sorted(values)}")
    return RunSQL(_PLACEHOLDER.sub(lambda found: values[found[1]], text))
