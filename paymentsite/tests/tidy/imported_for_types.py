"""Imports something behind `TYPE_CHECKING`, for `test_imports.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paymentsite.tidy.imports import Imports

    Unused = Imports
