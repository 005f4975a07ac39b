"""Parameters of every list endpoint: cursors, limit, and a range of creation times."""

from __future__ import annotations

from collections.abc import Mapping

from payments.api.parameters import (
    CreatedRange,
    Expand,
    Integer,
    Parameter,
    Parameters,
    PublicId,
)


def list_parameters(
    prefix: str,
    object_name: str,
    filters: Mapping[str, Parameter],
    *,
    noun: str,
    exclusive: tuple[tuple[str, ...], ...] = (),
    created: bool = True,
) -> Parameters:
    """The parameters of a list of objects whose ids start with `prefix`."""
    declared: dict[str, Parameter] = {
        **filters,
        "limit": Integer(minimum=1, maximum=100, description="10 if not given."),
        "starting_after": PublicId(prefix, noun=noun, description="The page after this id."),
        "ending_before": PublicId(prefix, noun=noun, description="The page before this id."),
        "expand": Expand(object_name, in_list=True),
    }
    if created:
        declared["created"] = CreatedRange()
    return Parameters(declared, exclusive=(("starting_after", "ending_before"), *exclusive))
