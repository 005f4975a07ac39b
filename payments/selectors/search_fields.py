"""The fields that payment intents, charges and customers are searched by."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Case, F, Func, JSONField, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Lower
from django.db.models.lookups import Exact, IsNull

from payments.models import Deadline, Dispute, Operation, PaymentIntent, Refund
from payments.selectors.payments import charges
from payments.selectors.scope import Scope, scoped
from payments.selectors.search_conditions import (
    EXACT,
    LOOKUPS,
    NUMERIC,
    SUBSTRING_SHORTEST,
    TEXT,
    Condition,
    Fields,
    IsNotTrue,
    Operator,
    SearchField,
    choice_of,
    created,
    currency,
    customer_field,
    metadata_field,
    number_of,
    text_of,
)
from payments.selectors.search_query import METADATA, Clause, refuse_query
from payments.states import (
    CHARGE_SHOWN_AS,
    CHARGE_WITH_OWN_AMOUNT,
    INTENT_SHOWN_AS,
    IntentStatus,
    OperationStatus,
)

_SNAPSHOT: Final = "payment_method_details"
_METHOD_FIELDS: Final = frozenset({"brand", "exp_month", "exp_year", "fingerprint", "last4"})
_C: Final = OperationStatus
_I: Final = IntentStatus
_NOT_YET_CHARGED: Final = Q(published_status="", status__in=[_I.INITIATED, _I.FAILED])
_COUNTS: Final = Q(status=_C.SUCCEEDED, id=F("intent__latest_charge_id"))
"""The amounts of such a charge are those of its intent (objects.charge)."""
_OWN_AMOUNT: Final = Q(status__in=sorted(CHARGE_WITH_OWN_AMOUNT))

# --- payment intents --------------------------------------------------------------------------


def _intent_statuses() -> dict[str, Condition]:
    """By public status (objects.payment_intent). A table lists the payments that wait."""
    statuses: dict[str, Condition] = {
        "requires_payment_method": Condition(_NOT_YET_CHARGED & Q(payment_method_id__isnull=True)),
        "requires_confirmation": Condition(_NOT_YET_CHARGED & Q(payment_method_id__isnull=False)),
    }
    waiting = Q(pk__in=Deadline.objects.values("intent_id"))
    under_way = Operation.objects.filter(next_check_at__isnull=False).values("intent_id")
    leads = {
        "requires_action": waiting,
        "requires_capture": waiting,
        "processing": Q(pk__in=under_way),
        "canceled": Q(canceled_at__isnull=False),
    }
    for shown in dict.fromkeys(INTENT_SHOWN_AS.values()):
        inside = [status for status, public in INTENT_SHOWN_AS.items() if public == shown]
        q = Q(published_status=shown) | Q(published_status="", status__in=inside)
        statuses[shown] = Condition(q, lead=leads.get(shown))
    return statuses


def _intent_status(scope: Scope, clause: Clause) -> Condition:
    found: Condition = choice_of(clause, _intent_statuses())
    return found


def _intent_amount(scope: Scope, clause: Clause) -> Condition:
    q = Q(LOOKUPS[clause.operator](F("amount_minor"), number_of(clause)))
    return Condition(q, lead=Q() if clause.operator == ":" else None)


INTENT_FIELDS: Final[Fields] = {
    "amount": SearchField(operators=tuple(NUMERIC), matches=_intent_amount),
    "created": SearchField(operators=tuple(NUMERIC), matches=created),
    "currency": SearchField(operators=EXACT, matches=currency),
    "customer": customer_field("customer_id"),
    METADATA: metadata_field(),
    "status": SearchField(operators=EXACT, matches=_intent_status),
}


# --- charges ----------------------------------------------------------------------------------


def _charge_amount(scope: Scope, clause: Clause) -> Condition:
    """What a charge shows: the intent's amount if it counts, else its own."""
    amount_minor = number_of(clause)
    shown = Case(When(_COUNTS, then=F("intent__amount_minor")), default=F("amount_minor"))
    q = Q(LOOKUPS[clause.operator](shown, amount_minor))
    if clause.operator != ":":
        return Condition(q)
    of_intents = _charges_of(PaymentIntent.objects.filter(amount_minor=amount_minor), scope)
    others = charges(scope).filter(_OWN_AMOUNT, amount_minor=amount_minor)
    return Condition(q, lead=_one_of(of_intents, others.values("pk")))


def _charges_of(rows: QuerySet[PaymentIntent], scope: Scope) -> QuerySet[Any, Any]:
    """The ids of the charges of these of the merchant's intents."""
    return charges(scope).filter(intent__in=scoped(rows, scope).values("pk")).values("pk")


def _one_of(*ids: QuerySet[Any, Any]) -> Q:
    """Rows whose ids one of these queries has, each led by its own index."""
    first, *others = ids
    return Q(pk__in=first.union(*others, all=True))


def _charge_status(scope: Scope, clause: Clause) -> Condition:
    """An open operation always has its next look-up scheduled, and an index has those."""
    of = {
        shown: Q(status__in=[each for each in _C if CHARGE_SHOWN_AS.get(each, "pending") == shown])
        for shown in ("succeeded", "failed", "pending")
    }
    found: Condition = choice_of(
        clause,
        {
            "succeeded": Condition(of["succeeded"]),
            "failed": Condition(of["failed"], lead=_OWN_AMOUNT),
            "pending": Condition(of["pending"], lead=Q(next_check_at__isnull=False)),
        },
    )
    return found


def _disputed(scope: Scope, clause: Clause) -> Condition:
    disputed = choice_of(clause, {"true": True, "false": False})
    by_disputes = Q(pk__in=scoped(Dispute.objects.all(), scope).values("charge_id"))
    return Condition(
        Q(latest_dispute_id__isnull=not disputed), lead=by_disputes if disputed else None
    )


def _refunded(scope: Scope, clause: Clause) -> Condition:
    """Refunded in full; a canceled authorization counts as refunded (objects.charge)."""
    captured = F("intent__amount_captured_minor")
    released = Q(intent__status=_I.CANCELED, intent__amount_captured_minor=0)
    in_full = Q(intent__amount_captured_minor__gt=0, intent__amount_refunded_minor__gte=captured)
    in_full |= Q(
        intent__amount_captured_minor=0,
        intent__amount_refunded_minor__gte=F("intent__amount_minor"),
    )
    in_full |= Q(
        intent__amount_captured_minor=0,
        intent__amount_refunded_minor__gte=F("intent__amount_minor"),
    )
    returned = Q(status=_C.EXCESS, excess_returned_minor__gte=F("amount_minor"))
    q = _COUNTS & (released | in_full) | returned
    if not choice_of(clause, {"true": True, "false": False}):
        return Condition(Q(IsNotTrue(q)))
    lead = _one_of(
        scoped(Refund.objects.all(), scope).values("charge_id"),
        _charges_of(PaymentIntent.objects.filter(canceled_at__isnull=False), scope),
        charges(scope).filter(_OWN_AMOUNT, status=_C.EXCESS).values("pk"),
    )
    return Condition(q, lead=lead)


def _from_snapshot(*path: str) -> Func:
    """A text of what the charge shows of its method."""
    inner: Any = F(_SNAPSHOT)
    for step in path[:-1]:
        inner = Operator(inner, Value(step), arg_joiner=" -> ", output_field=JSONField())
    return Operator(inner, Value(path[-1]), arg_joiner=" ->> ", output_field=TextField())


def _is_of_method(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 3 and parts[0] == _SNAPSHOT and parts[2] in _METHOD_FIELDS


def _method_path(clause: Clause) -> Func:
    return _from_snapshot(*clause.field.split(".")[1:])


def _method(scope: Scope, clause: Clause) -> Condition:
    shown = _method_path(clause)
    if clause.field == "payment_method_details.card.last4":
        return Condition(Q(Exact(shown, text_of(clause))), lead=Q())
    return Condition(Q(Exact(Lower(shown), Lower(Value(text_of(clause))))))


def _postal_code_path() -> Func:
    return _from_snapshot("billing_details", "address", "postal_code")


def _postal_code(scope: Scope, clause: Clause) -> Condition:
    return Condition(Q(Exact(Lower(_postal_code_path()), Lower(Value(text_of(clause))))))


_METHOD: Final = "payment_method_details.{type}.{brand|exp_month|exp_year|fingerprint|last4}"

CHARGE_FIELDS: Final[Fields] = {
    "amount": SearchField(operators=tuple(NUMERIC), matches=_charge_amount),
    "billing_details.address.postal_code": SearchField(
        operators=EXACT,
        matches=_postal_code,
        absent=lambda clause: Q(IsNull(_postal_code_path(), True)),
    ),
    "created": SearchField(operators=tuple(NUMERIC), matches=created),
    "currency": SearchField(operators=EXACT, matches=currency),
    "customer": customer_field("intent__customer_id"),
    "disputed": SearchField(operators=EXACT, matches=_disputed),
    METADATA: metadata_field("intent__"),
    _METHOD: SearchField(
        operators=EXACT,
        matches=_method,
        is_named=_is_of_method,
        absent=lambda clause: Q(IsNull(_method_path(clause), True)),
    ),
    "refunded": SearchField(operators=EXACT, matches=_refunded),
    "status": SearchField(operators=EXACT, matches=_charge_status),
}


# --- customers --------------------------------------------------------------------------------


def _text_column(column: str) -> SearchField:
    def matches(scope: Scope, clause: Clause) -> Condition:
        text = text_of(clause)
        if clause.operator == ":":
            return Condition(Q(**{f"{column}__iexact": text}), lead=~Q(**{column: ""}))
        if len(text) < SUBSTRING_SHORTEST:
            refuse_query(f"after ~ write at least {SUBSTRING_SHORTEST} characters.")
        return Condition(Q(**{f"{column}__icontains": text}))

    return SearchField(operators=TEXT, matches=matches, absent=lambda clause: Q(**{column: ""}))


CUSTOMER_FIELDS: Final[Fields] = {
    "created": SearchField(operators=tuple(NUMERIC), matches=created),
    "email": _text_column("email"),
    METADATA: metadata_field(),
    "name": _text_column("name"),
    "phone": _text_column("phone"),
}
