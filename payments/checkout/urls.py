"""Addresses of the hosted checkout."""

from django.urls import path

from payments.checkout.assets import asset
from payments.checkout.links import payment_link_page
from payments.checkout.views import (
    checkout_page,
    domain_association_view,
    exchange_view,
    pay_view,
    returned,
    status_view,
)

urlpatterns = [
    # Apple's name of the file, and its place.
    path(".well-known/apple-developer-merchantid-domain-association", domain_association_view),
    path("checkout/assets/<str:digest>/<str:name>", asset),
    path("checkout/link/<str:token>", payment_link_page),
    path("checkout/<str:token>", checkout_page, name="checkout"),
    path("checkout/<str:token>/pay", pay_view),
    path("checkout/<str:token>/exchange", exchange_view),
    path("checkout/<str:token>/status", status_view),
    path("checkout/<str:token>/return", returned),
]
