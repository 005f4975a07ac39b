"""What rows with a state machine share: protected status fields and stale-write refusal.

What may not live here: any state. django-fsm's own mixins are not used: `FSMModelMixin` can lose
the protection of a field for the whole process, and `ConcurrentTransitionMixin` is silently inert
when it is not listed first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from django_fsm import ConcurrentTransition, FSMField, transition

from ledger.database.instances import QuicklyLoaded
from payments.states import Table, sources_of

Method = TypeVar("Method", bound=Callable[..., None])


class StatusField(FSMField):
    """A status that only transitions change; a plain text column in migrations.

    There, each of django-fsm's fields would search every model that is rendered after it for
    transitions: migrating took nearly twice as long.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"protected": True, **kwargs})

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        del kwargs["protected"]
        return name, "django.db.models.CharField", args, kwargs


def transition_to(target: str, table: Table, *, field: FSMField) -> Callable[[Method], Method]:
    """Make a method the transition to `target`, from every state from which `table` allows it."""
    move: Callable[[Method], Method] = transition(
        field=field, source=sources_of(table, target), target=target
    )
    return move


class MachineModel(QuicklyLoaded):
    """A row whose status changes by transition only, and is written under the row's lock."""

    class Meta:
        abstract = True

    @classmethod
    @cache
    def _machine_fields(cls) -> tuple[str, ...]:
        fields = cls._meta.concrete_fields
        return tuple(f.attname for f in fields if getattr(f, "protected", False))

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any) -> Any:  # type: ignore[override]
        instance = super().from_db(db, field_names, values)
        instance.remember_status()
        return instance

    def remember_status(self) -> None:
        """Take the present status as the one that the database holds."""
        self.__dict__["_status_in_database"] = {
            name: self.__dict__[name] for name in self._machine_fields() if name in self.__dict__
        }

    def refresh_from_db(
        self, using: str | None = None, fields: Any = None, from_queryset: Any = None
    ) -> None:
        if fields is None:
            # Named, because Django takes a field that is missing from the instance for deferred.
            deferred = self.get_deferred_fields()
            names = [f.attname for f in self._meta.concrete_fields if f.attname not in deferred]
        else:
            names = list(fields)
        kept = {n: self.__dict__.pop(n) for n in self._machine_fields() if n in self.__dict__}
        try:
            super().refresh_from_db(using=using, fields=names, from_queryset=from_queryset)
        finally:
            for name, value in kept.items():
                self.__dict__.setdefault(name, value)
        if fields is None or set(fields) & set(self._machine_fields()):
            self.remember_status()

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        self.remember_status()

    def _do_update(  # type: ignore[override]
        self, base_qs: Any, using: Any, pk_val: Any, *args: Any, **kwargs: Any
    ) -> bool:
        expected = self.__dict__.get("_status_in_database", {})
        updated = super()._do_update(base_qs.filter(**expected), using, pk_val, *args, **kwargs)
        if not updated and expected and base_qs.filter(pk=pk_val).using(using).exists():
            raise ConcurrentTransition(f"{type(self).__name__} {pk_val} has moved on")
        return bool(updated)
