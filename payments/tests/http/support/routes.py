"""Every address of the merchant API, from the URL configuration itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payments.api.parameters import Parameters
from payments.api.urls import urlpatterns

_ID = "<str:public_id>"
_METHOD_ID = "<str:method_id>"


@dataclass(frozen=True)
class Route:
    """One method of one address, and what it takes."""

    method: str
    template: str
    parameters: Parameters
    moves_money: bool

    @property
    def resource(self) -> str:
        """`payment_intents` of `/v1/payment_intents/…`."""
        return self.template.split("/")[2]

    @property
    def has_id(self) -> bool:
        return _ID in self.template

    @property
    def documented_path(self) -> str:
        return self.template.replace(_ID, "{public_id}").replace(_METHOD_ID, "{method_id}")

    def path(self, public_id: str = "") -> str:
        """The address of this object; a method below it is one that no customer has."""
        return self.template.replace(_ID, public_id).replace(_METHOD_ID, "pm_nothing")

    def __str__(self) -> str:
        return f"{self.method} {self.documented_path}"


def _declared() -> Iterator[Route]:
    for pattern in urlpatterns:
        view = getattr(pattern.callback, "cls", None)
        for method in ("get", "post", "delete"):
            endpoint = getattr(getattr(view, method, None), "endpoint", None)
            if endpoint is not None:
                yield Route(
                    method.upper(),
                    f"/{pattern.pattern}",
                    endpoint.parameters,
                    endpoint.moves_money,
                )


ROUTES = tuple(_declared())
PREFIXES = {
    "payment_intents": "pi",
    "charges": "ch",
    "refunds": "re",
    "disputes": "dp",
    "customers": "cus",
    "payment_methods": "pm",
    "events": "evt",
    "balance_transactions": "txn",
    "webhook_endpoints": "we",
    "accounts": "acct",
    "setup_intents": "seti",
    "mandates": "mandate",
    "checkout": "cs",
    "payment_links": "plink",
}
"""Resource to the prefix of its ids."""
