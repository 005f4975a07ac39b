"""Routes of the merchant API, the return page and the webhooks of PSPs."""

from django.urls import path, re_path

from payments.api.psp_webhooks import psp_webhook
from payments.api.return_page import return_page
from payments.api.views import (
    account,
    balance,
    charges,
    checkout,
    customers,
    disputes,
    events,
    payment_intents,
    payment_links,
    payment_methods,
    refunds,
    setup_intents,
    webhook_endpoints,
)
from payments.api.views.exchange import UnknownUrl

urlpatterns = [
    path("v1/payment_intents", payment_intents.PaymentIntents.as_view()),
    path("v1/payment_intents/search", payment_intents.SearchPaymentIntents.as_view()),
    path("v1/payment_intents/<str:public_id>", payment_intents.PaymentIntent.as_view()),
    path(
        "v1/payment_intents/<str:public_id>/amount_details_line_items",
        payment_intents.LineItems.as_view(),
    ),
    path(
        "v1/payment_intents/<str:public_id>/confirm", payment_intents.ConfirmPaymentIntent.as_view()
    ),
    path(
        "v1/payment_intents/<str:public_id>/capture", payment_intents.CapturePaymentIntent.as_view()
    ),
    path(
        "v1/payment_intents/<str:public_id>/cancel", payment_intents.CancelPaymentIntent.as_view()
    ),
    path(
        "v1/payment_intents/<str:public_id>/increment_authorization",
        payment_intents.IncrementAuthorization.as_view(),
    ),
    path("v1/refunds", refunds.Refunds.as_view()),
    path("v1/refunds/<str:public_id>", refunds.Refund.as_view()),
    path("v1/refunds/<str:public_id>/cancel", refunds.CancelRefund.as_view()),
    path("v1/charges", charges.Charges.as_view()),
    path("v1/charges/search", charges.SearchCharges.as_view()),
    path("v1/charges/<str:public_id>", charges.Charge.as_view()),
    path("v1/charges/<str:public_id>/capture", charges.CaptureCharge.as_view()),
    path("v1/disputes", disputes.Disputes.as_view()),
    path("v1/disputes/<str:public_id>", disputes.Dispute.as_view()),
    path("v1/disputes/<str:public_id>/close", disputes.CloseDispute.as_view()),
    path("v1/customers", customers.Customers.as_view()),
    path("v1/customers/search", customers.SearchCustomers.as_view()),
    path("v1/customers/<str:public_id>", customers.Customer.as_view()),
    path(
        "v1/customers/<str:public_id>/payment_methods", customers.CustomerPaymentMethods.as_view()
    ),
    path(
        "v1/customers/<str:public_id>/payment_methods/<str:method_id>",
        customers.CustomerPaymentMethod.as_view(),
    ),
    path("v1/customers/<str:public_id>/sources", customers.CustomerSources.as_view()),
    path("v1/payment_methods", payment_methods.PaymentMethods.as_view()),
    path("v1/payment_methods/<str:public_id>", payment_methods.PaymentMethod.as_view()),
    path(
        "v1/payment_methods/<str:public_id>/attach", payment_methods.AttachPaymentMethod.as_view()
    ),
    path(
        "v1/payment_methods/<str:public_id>/detach", payment_methods.DetachPaymentMethod.as_view()
    ),
    path("v1/setup_intents", setup_intents.SetupIntents.as_view()),
    path("v1/setup_intents/<str:public_id>", setup_intents.SetupIntent.as_view()),
    path("v1/setup_intents/<str:public_id>/confirm", setup_intents.ConfirmSetupIntent.as_view()),
    path("v1/setup_intents/<str:public_id>/cancel", setup_intents.CancelSetupIntent.as_view()),
    path("v1/setup_attempts", setup_intents.SetupAttempts.as_view()),
    path("v1/mandates/<str:public_id>", setup_intents.Mandate.as_view()),
    path("v1/checkout/sessions", checkout.Sessions.as_view()),
    path("v1/checkout/sessions/<str:public_id>", checkout.Session.as_view()),
    path("v1/checkout/sessions/<str:public_id>/expire", checkout.ExpireSession.as_view()),
    path("v1/checkout/sessions/<str:public_id>/line_items", checkout.SessionLines.as_view()),
    path("v1/payment_links", payment_links.PaymentLinks.as_view()),
    path("v1/payment_links/<str:public_id>", payment_links.PaymentLink.as_view()),
    path("v1/payment_links/<str:public_id>/line_items", payment_links.LinkLines.as_view()),
    path("v1/events", events.Events.as_view()),
    path("v1/events/<str:public_id>", events.Event.as_view()),
    path("v1/account", account.OwnAccount.as_view()),
    path("v1/accounts", account.Accounts.as_view()),
    path("v1/accounts/<str:public_id>", account.Account.as_view()),
    path("v1/balance", balance.Balance.as_view()),
    path("v1/balance_transactions", balance.BalanceTransactions.as_view()),
    path("v1/balance_transactions/<str:public_id>", balance.BalanceTransaction.as_view()),
    path("v1/webhook_endpoints", webhook_endpoints.WebhookEndpoints.as_view()),
    path("v1/webhook_endpoints/<str:public_id>", webhook_endpoints.WebhookEndpoint.as_view()),
    path("psp/<slug:account_code>/webhook", psp_webhook, name="psp-webhook"),
    path("return/<str:public_id>", return_page, name="return"),
    re_path("^v[12](?:/|$)", UnknownUrl.as_view()),
]
