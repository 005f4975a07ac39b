"""The site as a Django app: its management commands, and Celery for every process."""

from django.apps import AppConfig


class PaymentsiteConfig(AppConfig):
    name = "paymentsite"
    verbose_name = "Platform"

    def ready(self) -> None:
        """Make our Celery application the one that `send_task` by name uses."""
        import paymentsite.celery  # noqa: F401
