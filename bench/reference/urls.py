"""The reference's two addresses."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.reference.views import PaymentView


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok")


urlpatterns = [path("healthz", healthz), path("v1/payment_intents", PaymentView.as_view())]
