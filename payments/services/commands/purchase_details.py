"""Checks what a merchant says about a purchase, and makes of it what a PSP is sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from ledger.money import Money
from payments.exceptions import InvalidParameter
from payments.models import PaymentIntent
from payments.services.commands.intent_details import IntentDetails
from payments.services.psp_gateway import accounts
from psp_adapters.contract.operations import PurchaseDetails, PurchaseLine

_MISMATCH: Final = "amount_details_amount_mismatch"
_PARTS_EXCEED: Final = "amount_details_tax_shipping_discount_greater_than_amount"


def check_purchase(intent: PaymentIntent, amount: Money, details: IntentDetails | None) -> None:
    """Refuse details of the purchase, as applied to the intent, that do not add up to the amount.

    The merchant may have switched that off: then the error is kept with the details, and shown.
    Raises InvalidParameter.
    """
    if details is None or (details.amount_details is None and details.level3 is None):
        return
    recheck_purchase(intent, amount)


def recheck_purchase(intent: PaymentIntent, amount: Money) -> None:
    """The same for details that are there already, after the amount changed."""
    if intent.level3 and (wrong := _difference(_of_level3(intent.level3), amount)):
        raise InvalidParameter(wrong[1], param="level3", code=wrong[0])
    if not intent.amount_details:
        return
    given = {name: value for name, value in intent.amount_details.items() if name != "error"}
    _require_one_place(given)
    wrong = _difference(_of_amount_details(given), amount)
    if wrong and given.get("enforce_arithmetic_validation", True):
        raise InvalidParameter(wrong[1], param="amount_details", code=wrong[0])
    error = {"error": {"code": wrong[0], "message": wrong[1]}} if wrong else {}
    intent.amount_details = given | error


def purchase_of(
    intent: PaymentIntent, *, psp_account_id: UUID | None = None
) -> dict[str, Any] | None:
    """What an operation keeps of the purchase for its PSP; None if there is nothing to send.

    Nothing is sent to a PSP that does not take it, nor what does not add up. The account is the
    intent's, unless another one is given.
    """
    account_id = psp_account_id or intent.psp_account_id
    found: PurchaseDetails | None = None
    if intent.level3:
        found = _of_level3(intent.level3)
    elif intent.amount_details and "error" not in intent.amount_details:
        found = _of_amount_details(intent.amount_details)
    if found is None or not accounts.capabilities_of(account_id).purchase_details:
        return None
    return asdict(found)


def _difference(purchase: PurchaseDetails, amount: Money) -> tuple[str, str] | None:
    """Code and message if the details do not add up; without lines they are only bounded."""
    parts_minor = purchase.tax_minor + purchase.shipping_minor
    if not purchase.lines:
        if parts_minor <= amount.minor:
            return None
        return _PARTS_EXCEED, (
            f"Tax and shipping together are {parts_minor}, which is more than the amount of "
            f"{amount.minor}. Correct them, or the amount."
        )
    lines_minor = sum(line.quantity * line.unit_cost_minor for line in purchase.lines)
    total_minor = lines_minor + parts_minor - purchase.discount_minor
    if total_minor == amount.minor:
        return None
    return _MISMATCH, (
        f"The lines ({lines_minor}), tax ({purchase.tax_minor}) and shipping "
        f"({purchase.shipping_minor}) less discounts ({purchase.discount_minor}) are "
        f"{total_minor}, and the amount is {amount.minor}. Correct them so that both are equal."
    )


def _require_one_place(given: dict[str, Any]) -> None:
    """Tax and discounts are said of the whole or of the lines, not of both."""
    lines = given.get("line_items", ())
    for name in ("tax", "discount_amount"):
        if name in given and any(name in line for line in lines):
            raise InvalidParameter(
                f"{name} is given for the whole amount and for line items. Keep one of both.",
                param=f"amount_details[{name}]",
                code="parameters_exclusive",
            )


def _of_amount_details(given: dict[str, Any]) -> PurchaseDetails:
    lines = tuple(_line(each) for each in given.get("line_items", ()))
    shipping = given.get("shipping", {})
    tax, discount_minor = given.get("tax", {}), given.get("discount_amount", 0)
    return PurchaseDetails(
        lines=lines,
        tax_minor=tax.get("total_tax_amount", 0) + sum(line.tax_minor for line in lines),
        discount_minor=discount_minor + sum(line.discount_minor for line in lines),
        shipping_minor=shipping.get("amount", 0),
        ship_to_postal_code=shipping.get("to_postal_code", ""),
        ship_from_postal_code=shipping.get("from_postal_code", ""),
    )


def _line(given: dict[str, Any]) -> PurchaseLine:
    options = given.get("payment_method_options", {})
    return PurchaseLine(
        name=given["product_name"],
        quantity=given["quantity"],
        unit_cost_minor=given["unit_cost"],
        tax_minor=given.get("tax", {}).get("total_tax_amount", 0),
        discount_minor=given.get("discount_amount", 0),
        product_code=given.get("product_code", ""),
        commodity_code=options.get("card", {}).get("commodity_code", ""),
        unit_of_measure=given.get("unit_of_measure", ""),
    )


def _of_level3(given: dict[str, Any]) -> PurchaseDetails:
    lines = tuple(
        PurchaseLine(
            name=each["product_description"],
            quantity=each.get("quantity", 1),
            unit_cost_minor=each.get("unit_cost", 0),
            tax_minor=each.get("tax_amount", 0),
            discount_minor=each.get("discount_amount", 0),
            product_code=each["product_code"],
        )
        for each in given["line_items"]
    )
    return PurchaseDetails(
        lines=lines,
        tax_minor=sum(line.tax_minor for line in lines),
        discount_minor=sum(line.discount_minor for line in lines),
        shipping_minor=given.get("shipping_amount", 0),
        ship_to_postal_code=given.get("shipping_address_zip", ""),
        ship_from_postal_code=given.get("shipping_from_zip", ""),
        customer_reference=given.get("customer_reference", ""),
        merchant_reference=given["merchant_reference"],
    )
