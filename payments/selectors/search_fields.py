"""The fields that payment intents, charges and customers are searched by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.db.models import Case, F, Func, JSONField, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Lower
from django.db.models.lookups import Exact, IsNull

from ledger.money import CURRENCY_EXPONENTS
from payments.models import Deadline, Dispute, Operation, Refund
from payments.selectors.customers import customers
from payments.selectors.payments import charges, intents
from payments.selectors.scope import Scope, scoped
from payments.selectors.search_conditions import (
    EXACT,
    LOOKUPS,
    NUMERIC,
    SUBSTRING_SHORTEST,
    TEXT,
    Choices,
    Condition,
    Fields,
    IsNotTrue,
    Lead,
    Leads,
    Operator,
    SearchField,
    choice_field,
    contains,
    created,
    customer_field,
    in_either_way,
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
_AMOUNT_LOOKUPS: Final = {
    ":": "amount_minor",
    ">": "amount_minor__gt",
    ">=": "amount_minor__gte",
    "<": "amount_minor__lt",
    "<=": "amount_minor__lte",
}
_CREATED: Final = SearchField(operators=tuple(NUMERIC), matches=created)

# --- amounts and currencies -------------------------------------------------------------------

AmountLeads = Callable[..., Leads]
"""Of a scope, currencies, and amounts as lookups."""


def _by_currency(
    rows: QuerySet[Any], currencies: Iterable[str], **amount_minor: int
) -> QuerySet[Any]:
    """Amounts are indexed by currency: an amount alone is looked up in every currency."""
    found = rows.filter(currency__in=list(currencies), **amount_minor)
    return found.order_by("currency", "amount_minor")


def _amount(q: Callable[[Clause], Q], leads: AmountLeads) -> SearchField:
    def matches(scope: Scope, clause: Clause) -> Condition:
        wanted = {_AMOUNT_LOOKUPS[clause.operator]: number_of(clause)}
        found = leads(scope, CURRENCY_EXPONENTS, **wanted)
        return Condition(q(clause), found, shares_index=True)

    return SearchField(operators=tuple(NUMERIC), matches=matches)


def _currency(leads: AmountLeads) -> SearchField:
    def matches(scope: Scope, clause: Clause) -> Condition:
        wanted = text_of(clause).upper()
        return Condition(Q(currency=wanted), leads(scope, [wanted]), shares_index=True)

    def otherwise(scope: Scope, clause: Clause) -> Leads:
        return leads(scope, sorted(CURRENCY_EXPONENTS.keys() - {text_of(clause).upper()}))

    return SearchField(operators=EXACT, matches=matches, otherwise=otherwise)


# --- payment intents --------------------------------------------------------------------------


def _intent_statuses(scope: Scope) -> Choices:
    """By public status (objects.payment_intent). A table lists the payments that wait."""
    rows = intents(scope)
    under_way = Operation.objects.filter(next_check_at__isnull=False).values("intent_id")
    waiting = rows.filter(pk__in=Deadline.objects.values("intent_id"))
    leads = {
        "requires_action": _few(waiting.filter(status=_I.REQUIRES_ACTION)),
        "requires_capture": _few(waiting.filter(status=_I.AUTHORIZED)),
        "processing": _few(rows.filter(pk__in=under_way)),
        "canceled": in_either_way(Lead(rows.filter(canceled_at__isnull=False).order_by("-pk"))),
    }
    statuses: dict[str, Condition] = {
        "requires_payment_method": Condition(_NOT_YET_CHARGED & Q(payment_method_id__isnull=True)),
        "requires_confirmation": Condition(_NOT_YET_CHARGED & Q(payment_method_id__isnull=False)),
    }
    for shown in dict.fromkeys(INTENT_SHOWN_AS.values()):
        inside = [status for status, public in INTENT_SHOWN_AS.items() if public == shown]
        q = Q(published_status=shown) | Q(published_status="", status__in=inside)
        statuses[shown] = Condition(q, leads.get(shown, Leads()))
    return statuses


def _few(rows: QuerySet[Any]) -> Leads:
    return Leads(few=(Lead(rows),))


def _intent_amount(clause: Clause) -> Q:
    return Q(LOOKUPS[clause.operator](F("amount_minor"), number_of(clause)))


def _intent_leads(scope: Scope, currencies: Iterable[str], **amount_minor: int) -> Leads:
    return in_either_way(Lead(_by_currency(intents(scope), currencies, **amount_minor)))


INTENT_FIELDS: Final[Fields] = {
    "amount": _amount(_intent_amount, _intent_leads),
    "created": _CREATED,
    "currency": _currency(_intent_leads),
    "customer": customer_field("customer_id", intents, "pk"),
    METADATA: metadata_field(intents),
    "status": choice_field(_intent_statuses),
}


# --- charges ----------------------------------------------------------------------------------


def _charge_amount(clause: Clause) -> Q:
    """What a charge shows: the intent's amount if it counts, else its own."""
    shown = Case(When(_COUNTS, then=F("intent__amount_minor")), default=F("amount_minor"))
    return Q(LOOKUPS[clause.operator](shown, number_of(clause)))


def _charge_leads(scope: Scope, currencies: Iterable[str], **amount_minor: int) -> Leads:
    """Amount and currency of a charge without success may differ from those of its intent.

    Those of one that succeeded or is open are its intent's, of which it is the latest charge.
    """
    of_intents = _by_currency(intents(scope), currencies, **amount_minor)
    own = Lead(_by_currency(charges(scope).filter(_OWN_AMOUNT), currencies, **amount_minor))
    return Leads(
        few=(Lead(of_intents, "intent"), own),
        in_order=(Lead(of_intents, id_column="latest_charge_id"), own),
    )


def _charge_statuses(scope: Scope) -> Choices:
    """An open operation always has its next look-up scheduled, and an index has those."""
    rows = charges(scope)
    failed = rows.filter(_OWN_AMOUNT).order_by("currency", "amount_minor")
    pending = rows.filter(next_check_at__isnull=False).order_by("next_check_at")
    leads = {"failed": in_either_way(Lead(failed)), "pending": _few(pending)}
    return {
        shown: Condition(
            Q(status__in=[each for each in _C if CHARGE_SHOWN_AS.get(each, "pending") == shown]),
            leads.get(shown, Leads()),
        )
        for shown in ("succeeded", "failed", "pending")
    }


def _disputed(scope: Scope) -> Choices:
    disputes = scoped(Dispute.objects.all(), scope)
    return {
        "true": Condition(
            Q(latest_dispute_id__isnull=False), in_either_way(Lead(disputes, id_column="charge_id"))
        ),
        "false": Condition(Q(latest_dispute_id__isnull=True)),
    }


def _refunded(scope: Scope) -> Choices:
    """Refunded in full; a canceled authorization counts as refunded (objects.charge)."""
    captured = F("intent__amount_captured_minor")
    released = Q(intent__status=_I.CANCELED, intent__amount_captured_minor=0)
    in_full = Q(intent__amount_captured_minor__gt=0, intent__amount_refunded_minor__gte=captured)
    in_full |= Q(
        intent__amount_captured_minor=0,
        intent__amount_refunded_minor__gte=F("intent__amount_minor"),
    )
    returned = Q(status=_C.EXCESS, excess_returned_minor__gte=F("amount_minor"))
    q = _COUNTS & (released | in_full) | returned
    # Most canceled payments never held money.
    with_hold = intents(scope).filter(canceled_at__isnull=False, amount_authorized_minor__gt=0)
    leads = in_either_way(
        Lead(scoped(Refund.objects.all(), scope), id_column="charge_id"),
        Lead(with_hold.filter(amount_captured_minor=0), id_column="latest_charge_id"),
        Lead(charges(scope).filter(_OWN_AMOUNT, status=_C.EXCESS)),
    )
    return {"true": Condition(q, leads), "false": Condition(Q(IsNotTrue(q)))}


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
        q = Q(Exact(shown, text_of(clause)))
        rows = charges(scope).filter(q)
        # A charge is in the index by last4 from its first outcome on.
        open_ones = rows.filter(next_check_at__isnull=False).order_by("next_check_at")
        leads = (Lead(rows.filter(next_check_at__isnull=True)), Lead(open_ones))
        return Condition(q, Leads(few=leads))
    return Condition(Q(Exact(Lower(shown), Lower(Value(text_of(clause))))))


def _postal_code_path() -> Func:
    return _from_snapshot("billing_details", "address", "postal_code")


def _postal_code(scope: Scope, clause: Clause) -> Condition:
    return Condition(Q(Exact(Lower(_postal_code_path()), Lower(Value(text_of(clause))))))


_METHOD: Final = "payment_method_details.{type}.{brand|exp_month|exp_year|fingerprint|last4}"

CHARGE_FIELDS: Final[Fields] = {
    "amount": _amount(_charge_amount, _charge_leads),
    "billing_details.address.postal_code": SearchField(
        operators=EXACT,
        matches=_postal_code,
        absent=lambda scope, clause: Condition(Q(IsNull(_postal_code_path(), True))),
    ),
    "created": _CREATED,
    "currency": _currency(_charge_leads),
    "customer": customer_field("intent__customer_id", intents, "intent"),
    "disputed": choice_field(_disputed),
    METADATA: metadata_field(intents, path="intent__metadata", lead="intent"),
    _METHOD: SearchField(
        operators=EXACT,
        matches=_method,
        is_named=_is_of_method,
        absent=lambda scope, clause: Condition(Q(IsNull(_method_path(clause), True))),
    ),
    "refunded": choice_field(_refunded),
    "status": choice_field(_charge_statuses),
}


# --- customers --------------------------------------------------------------------------------


def _text_column(column: str) -> SearchField:
    """One index has each value as a whole, another one its parts of three characters."""

    def with_parts_of(text: str, scope: Scope) -> Leads:
        held = _text_parts(F("merchant_id"), F("livemode"), F(column))
        wanted = _text_parts(Value(scope.merchant_id), Value(scope.livemode), Value(text))
        return _few(customers(scope).filter(contains(held, wanted)))

    def matches(scope: Scope, clause: Clause) -> Condition:
        text = text_of(clause)
        if clause.operator == ":":
            q = Q(**{f"{column}__iexact": text}) & ~Q(**{column: ""})
            return Condition(q, _few(customers(scope).filter(q)))
        if len(text) < SUBSTRING_SHORTEST:
            refuse_query(f"after ~ write at least {SUBSTRING_SHORTEST} characters.")
        return Condition(Q(**{f"{column}__icontains": text}), with_parts_of(text, scope))

    return SearchField(
        operators=TEXT,
        matches=matches,
        absent=lambda scope, clause: Condition(Q(**{column: ""}), with_parts_of("", scope)),
    )


def _text_parts(*of: Any) -> Func:
    return Func(*of, function="payments_text_parts", output_field=TextField())


CUSTOMER_FIELDS: Final[Fields] = {
    "created": _CREATED,
    "email": _text_column("email"),
    METADATA: metadata_field(customers),
    "name": _text_column("name"),
    "phone": _text_column("phone"),
}
