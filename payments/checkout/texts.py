"""What customers read about a failed attempt. Never why a bank suspects fraud.

A page in mode `setup` takes nothing, so it has texts of its own.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.models import PaymentMethod

_OTHER_CARD: Final = _("Your bank declined the payment. Nothing was taken. Try another card.")
_OF_DECLINES: Final[dict[str, Promise]] = {
    "authentication_required": _("Your bank wants you to confirm the payment. Please try again."),
    "bank_account_declined": _("Your bank declined the payment. Nothing was taken."),
    "expired_card": _("This card has expired. Nothing was taken. Try another card."),
    "incorrect_cvc": _("The security code is wrong. Nothing was taken. Please try again."),
    "insufficient_funds": _(
        "There is not enough money on this card. Nothing was taken. Try another card."
    ),
    "payment_intent_authentication_failure": _(
        "The payment was not confirmed at your bank. Nothing was taken. You can try again."
    ),
    "processing_error": _("The payment could not be processed. Nothing was taken. Try again."),
}
"""By decline code, else by code, of what the payment keeps as its last error."""
_CARD_NOT_KEPT: Final = _("Your bank declined this card. It was not saved. Try another card.")
_OF_DECLINED_SETUPS: Final[dict[str, Promise]] = {
    "authentication_required": _("Your bank wants you to confirm this card. Please try again."),
    "expired_card": _("This card has expired. It was not saved. Try another card."),
    "incorrect_cvc": _("The security code is wrong. The card was not saved. Please try again."),
    "processing_error": _("The card could not be checked. It was not saved. Try again."),
    "setup_intent_authentication_failure": _(
        "The card was not confirmed at your bank. It was not saved. You can try again."
    ),
}
"""The same of a setup intent."""
_OF_REFUSALS: Final[dict[str, Promise]] = {
    "method_not_offered": _("This way to pay is not possible here. Please choose another."),
    "moved_on": _("This payment is already being made, perhaps in another window."),
    "order_already_paid": _("This order is already paid. Nothing was taken now."),
    "psp_not_reached": _("The payment could not be sent. Nothing was taken. Try again shortly."),
    "token_unknown": _("Please enter your card again. Nothing was taken."),
    "refused": _("This payment is not possible. Nothing was taken. Please ask the shop."),
}
"""By the reason of NoEffect."""
_OF_REFUSED_SETUPS: Final[dict[str, Promise]] = {
    "method_not_offered": _("This cannot be saved here."),
    "moved_on": _("This card is already being saved, perhaps in another window."),
    "psp_not_reached": _("The card could not be sent. It was not saved. Try again shortly."),
    "token_unknown": _("Please enter your card again. It was not saved."),
    "refused": _("This card cannot be saved. Please ask the shop."),
}
"""The same in mode `setup`."""


_BRANDS: Final = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def labels_of_card(method: PaymentMethod) -> dict[str, str]:
    """How a saved card is named, and when it expires, in the active language."""
    brand = _BRANDS.get(method.brand, "") or gettext("Card")
    label = gettext("%(brand)s ending in %(last4)s") % {"brand": brand, "last4": method.last4}
    if not (method.expiry_month and method.expiry_year):
        return {"label": label, "expires": ""}
    date = f"{method.expiry_month:02d}/{method.expiry_year % 100:02d}"
    return {"label": label, "expires": gettext("Expires %(date)s") % {"date": date}}


def text_of_decline(error: dict[str, Any], *, is_setup: bool) -> str:
    """Why the last attempt failed, in the active language."""
    texts = _OF_DECLINED_SETUPS if is_setup else _OF_DECLINES
    for name in (error.get("decline_code"), error.get("code")):
        if name in texts:
            return str(texts[name])
    return str(_CARD_NOT_KEPT if is_setup else _OTHER_CARD)


def text_of_refusal(reason: str, *, is_setup: bool) -> str:
    """Why nothing was charged or kept, in the active language."""
    return str((_OF_REFUSED_SETUPS if is_setup else _OF_REFUSALS)[reason])


def text_of_mandate(merchant: str, *, is_kept: bool) -> str:
    """What a customer accepts who has an account debited, in the active language."""
    once = gettext(
        "By paying, you authorize %(merchant)s and its payment provider to debit this account "
        "once, and your bank to pay this debit. You can claim the money back from your bank within "
        "eight weeks of the debit."
    )
    later = gettext(
        "By paying, you authorize %(merchant)s and its payment provider to debit this account now "
        "and for later payments that you agree on with the shop, and your bank to pay these "
        "debits. You can claim the money back from your bank within eight weeks of each debit."
    )
    return (later if is_kept else once) % {"merchant": merchant}


def label_of_button(submit_type: str, amount: str) -> str:
    """The label of the button, with the amount; without one, the page keeps a card."""
    if not amount:
        return gettext("Save card")
    match submit_type:
        case "book":
            return gettext("Book for %(amount)s") % {"amount": amount}
        case "donate":
            return gettext("Donate %(amount)s") % {"amount": amount}
        case _:
            return gettext("Pay %(amount)s") % {"amount": amount}
