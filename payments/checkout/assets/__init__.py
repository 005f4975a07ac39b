"""The style sheet and the scripts of the page, with the hashes by which browsers check them.

The drivers mount the card fields of PSPs whose script the page loads; the adapters bring them.

Served from here, and not with the other static files: those are for staff only where
INTERNAL_ADDRESS is set.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from psp_adapters.registry import field_drivers

_FOLDER: Final = Path(__file__).parent
_A_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file; its address changes with its content, so browsers may keep it."""

    name: str
    content_type: str
    content: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha384(self.content).digest()

    @property
    def url(self) -> str:
        return f"/checkout/assets/{self.digest.hex()[:16]}/{self.name}"

    @property
    def integrity(self) -> str:
        """Of the element that loads it: another content is refused by the browser."""
        return f"sha384-{base64.b64encode(self.digest).decode()}"


def _read(name: str, content_type: str) -> Asset:
    return Asset(name, content_type, (_FOLDER / name).read_bytes())


_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
STYLE: Final = _read("checkout.css", "text/css; charset=utf-8")
SCRIPT: Final = _read("checkout.js", _JAVASCRIPT)
DRIVERS: Final = {
    psp: Asset(f"{psp}-fields.js", _JAVASCRIPT, content) for psp, content in field_drivers().items()
}
_BY_URL: Final = {each.url: each for each in (STYLE, SCRIPT, *DRIVERS.values())}


@require_safe
def asset(request: HttpRequest, digest: str, name: str) -> HttpResponse:
    """One of these files; 404 for an address of another content."""
    found = _BY_URL.get(request.path)
    if found is None:
        raise Http404
    response = HttpResponse(found.content, content_type=found.content_type)
    response["Cache-Control"] = _A_YEAR
    response["X-Content-Type-Options"] = "nosniff"
    return response
