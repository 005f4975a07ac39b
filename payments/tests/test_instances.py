"""Instances of models that are made without Django's constructor equal those that it makes."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import models

from ledger.database.instances import QuicklyLoaded, new_instance
from payments.models import IdempotencyKey, Operation, PaymentIntent

_QUICKLY_LOADED = [each for each in apps.get_models() if issubclass(each, QuicklyLoaded)]


def _attributes(instance: models.Model) -> dict[str, Any]:
    return {name: value for name, value in vars(instance).items() if name != "_state"}


def _fixed(instance: models.Model) -> dict[str, Any]:
    """Without what is made anew for each instance, such as an id."""
    made = {f.attname for f in instance._meta.concrete_fields if callable(f.default)}
    return {name: value for name, value in _attributes(instance).items() if name not in made}


@pytest.mark.parametrize("model", _QUICKLY_LOADED, ids=lambda model: model.__name__)
def test_a_new_or_read_row_has_what_djangos_constructor_gives_it(
    model: type[models.Model],
) -> None:
    by_django, ours = model(), new_instance(model)

    assert _fixed(ours) == _fixed(by_django)
    assert _attributes(ours).keys() == _attributes(by_django).keys()
    assert ours._state.adding
    assert ours._state.db is None

    fields = [each for each in model._meta.concrete_fields if not each.generated]
    names, values = [f.attname for f in fields], [getattr(by_django, f.attname) for f in fields]
    read = model.from_db("default", names, values)
    few = model.from_db("default", names[:1], values[:1])
    state = {"_status_in_database"}
    assert {k: v for k, v in _attributes(read).items() if k not in state} == _attributes(by_django)
    assert not read._state.adding
    assert read._state.db == "default"
    generated = {each.attname for each in model._meta.concrete_fields if each.generated}
    assert few.get_deferred_fields() == {*names[1:], *generated}


def test_two_new_rows_share_no_list_and_no_id() -> None:
    one, other = new_instance(PaymentIntent), new_instance(PaymentIntent)

    assert one.payment_method_types is not other.payment_method_types
    assert one.metadata is not other.metadata
    assert new_instance(IdempotencyKey).id != new_instance(IdempotencyKey).id


def test_a_status_given_at_the_start_can_only_be_changed_by_a_transition() -> None:
    operation = new_instance(Operation, merchant_id=1)

    with pytest.raises(AttributeError):
        operation.status = "succeeded"


def test_a_name_that_is_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match="PaymentIntent has no merchnt_id"):
        new_instance(PaymentIntent, merchnt_id=1)
