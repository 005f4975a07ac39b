"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

from payments.api.views.reference import openapi_document, reference_page
from paymentsite.health import healthz, jobs, livez
from paymentsite.metrics import metrics

admin.autodiscover()
handler500 = "paymentsite.health.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    # Not by APPEND_SLASH: it would resolve every merchant URL a second time.
    path("admin", RedirectView.as_view(url="/admin/")),
    path("docs/", RedirectView.as_view(url="/docs")),
    path("docs", reference_page, name="docs"),
    path("docs/try", SpectacularSwaggerView.as_view(url_name="openapi")),
    path("docs/openapi.json", openapi_document, name="openapi"),
    path("docs/<slug:page>", reference_page, name="reference"),
    path("healthz", healthz),
    path("healthz/jobs", jobs),
    path("livez", livez),
    path("metrics", metrics),
    # The hosted checkout (/checkout/…): its page is its own credential.
    path("", include("payments.checkout.urls")),
    # The merchant API (/v1/…) and the page to which PSPs send customers back (/return/…).
    path("", include("payments.api.urls")),
]
