"""The site as Django apps: commands and Celery for every process, and the console."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class PaymentsiteConfig(AppConfig):
    name = "paymentsite"
    verbose_name = "Platform"
    default = True

    def ready(self) -> None:
        """Make our Celery application the one that `send_task` by name uses.

        The last of all apps: what was imported until now lives as long as the process, and is no
        work for the garbage collector, which the entry points stop meanwhile.
        """
        import paymentsite.celery  # noqa: F401

        gc.freeze()
        gc.enable()


class ConsoleConfig(SimpleAdminConfig):
    """The console, whose pages are imported with the site's addresses (`paymentsite.urls`).

    Workers, relay, publisher and consumers have no addresses: they start in three quarters of the
    processor time.
    """

    default_site = "unfold.sites.UnfoldAdminSite"

    def ready(self) -> None:
        """Have Django's checks import the pages that they judge."""
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_pages, checks.Tags.admin)


def _check_pages(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> Sequence[checks.CheckMessage]:
    admin.autodiscover()
    return check_admin_app(app_configs, **options)
