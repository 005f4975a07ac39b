"""The reference, as granian serves it: the database as the platform has it, nothing else."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from paymentsite import environment
from paymentsite.launcher import platform_processes
from paymentsite.launcher.signals import die_with_parent
from paymentsite.receiving import WholeRequests

settings.configure(
    SECRET_KEY="signs nothing",
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": environment.database(
            "DATABASE_URL", "the bench sets it to a database of its own", owner=False, pool=True
        )
    },
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # it announces the length
    ROOT_URLCONF="bench.reference.views",
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)

application = get_wsgi_application()


def server() -> WholeRequests:
    """Return what answers requests; once per worker."""
    die_with_parent()
    return WholeRequests(
        application,
        threads=platform_processes.API_THREADS,
        body_within_seconds=environment.REQUEST_WITHIN_SECONDS,
    )
