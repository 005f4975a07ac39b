"""The web application. The server imports it once, and each of its workers calls `server`."""

import gc
import os
import resource

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import resolve, reverse

from payments.api.decoding import MAX_BODY_BYTES
from paymentsite.launcher.signals import die_with_parent, wake_main_thread_for_signals
from paymentsite.receiving import WholeRequests

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
gc.disable()  # until all apps are imported (paymentsite.apps): a fifth of the time to start

application = get_wsgi_application()
# Otherwise the first request of each worker would import every view.
resolve("/livez")

# Imported objects never become garbage. Without these lines the collector would scan them again and
# again (measured: 7 % of the API's processor time, 15 % of its p95).
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)


def server() -> WholeRequests:
    """Prepare this process to answer requests, and return what answers them; once per worker."""
    # Otherwise a worker whose server process was killed would keep serving on the same port.
    die_with_parent()
    wake_main_thread_for_signals()
    # Each connection is an open file, also one that sends nothing.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return WholeRequests(
        application,
        threads=settings.API_THREADS,
        body_within_seconds=settings.REQUEST_WITHIN_SECONDS,
        uploads={
            reverse("admin:reconciliation_settlementreport_import_report"): (
                settings.REPORT_UPLOAD_BYTES_MAX + MAX_BODY_BYTES
            )
        },
    )
