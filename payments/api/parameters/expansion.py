"""The `expand` parameter; what may be expanded is declared with the objects."""

from __future__ import annotations

from typing import Any, Final

from payments.api.card_data import nameable
from payments.api.parameters.declaration import Schema
from payments.api.parameters.structures import ListOf
from payments.api.parameters.texts import Text
from payments.objects.catalog import EXPANDABLE
from payments.objects.fields import NOTHING

MAX_EXPANSION_DEPTH: Final = 4


_HOLDERS: Final = frozenset({"amount_details", "invoice_settings"})
"""Not ids: objects that are shown in any case, and hold ids."""


def _paths(object_name: str) -> list[str]:
    """The ids of an object, those in the objects that it holds included."""
    found = []
    for field, kind in EXPANDABLE[object_name].items():
        if kind in _HOLDERS:
            found += [f"{field}.{inner}" for inner in EXPANDABLE[kind]]
        elif kind != NOTHING:
            found.append(field)
    return found


TOTAL_COUNT: Final = "total_count"
"""What searches count only if it is expanded."""


class Expand(ListOf):
    """Which ids of the answer become objects; parsed as sorted paths, each once.

    For lists every path starts with `data.`, as the merchant writes it. `also`: whole paths that
    are allowed too.
    """

    def __init__(
        self, object_name: str, *, in_list: bool = False, also: tuple[str, ...] = ()
    ) -> None:
        super().__init__(
            Text(max_length=200, can_unset=False),
            max_items=20,
            description=self._documentation(object_name, in_list, also),
        )
        self.also = also
        self.object_name = object_name
        self.in_list = in_list

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        paths = super().read(value, name, is_text)
        if type(paths) is not list:
            return paths
        for index, path in enumerate(paths):
            if not self._leads_somewhere(path):
                self.refuse(
                    f"{name}[{index}]", f"This property cannot be expanded ({nameable(path)})."
                )
        return sorted(set(paths))

    def _leads_somewhere(self, path: str) -> bool:
        if path in self.also:
            return True
        steps = path.split(".")
        if self.in_list and steps.pop(0) != "data":
            return False
        if not 0 < len(steps) <= MAX_EXPANSION_DEPTH:
            return False
        object_name: str | None = self.object_name
        for step in steps:
            object_name = EXPANDABLE[object_name].get(step) if object_name else None
        return object_name is not None

    @staticmethod
    def _documentation(object_name: str, in_list: bool, also: tuple[str, ...]) -> str:
        prefix = "data." if in_list else ""
        paths = [*(prefix + path for path in _paths(object_name)), *also]
        fields = ", ".join(f"`{path}`" for path in paths)
        depth = f"up to {MAX_EXPANSION_DEPTH} levels deep"
        return f"Ids to answer as objects, {depth}: {fields or 'none here'}."

    def own_schema(self) -> Schema:
        return {**super().own_schema(), "uniqueItems": True}
