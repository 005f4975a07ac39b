"""The payments app."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let commands wait for approval, and events and audit trail be sealed with the books."""
        from payments.models import ApprovalCommand
        from payments.services.approvals.requests import register
        from payments.services.commands.approved import captures, refunds
        from payments.services.verification import sealed_rows

        register(ApprovalCommand.REFUND_PAYMENT, refunds.REFUND)
        register(ApprovalCommand.CAPTURE_PAYMENT, captures.CAPTURE)
        sealed_rows.register()
