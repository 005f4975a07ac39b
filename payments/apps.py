"""The payments app, and what it tells the apps below it when it starts."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the books be searched by public id; the ledger itself knows none of them."""
        from functools import partial

        from ledger.admin import ID_READERS
        from payments import public_ids

        for prefix in (
            public_ids.PAYMENT_INTENT,
            public_ids.BALANCE_TRANSACTION,
            public_ids.CHARGE,
            public_ids.OPERATION,
            public_ids.REFUND,
            public_ids.MERCHANT,
        ):
            ID_READERS.append(partial(public_ids.decode, prefix))
