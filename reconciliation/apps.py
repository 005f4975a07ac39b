"""The reconciliation app."""

from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        """Let the daily verification of the books compare settlement lines and bank lines too."""
        from payments.models import ApprovalCommand
        from payments.services.approvals.requests import register
        from payments.services.verification.daily import add_part
        from reconciliation.services import verification
        from reconciliation.services.bank_statements import verification as bank
        from reconciliation.services.closing import reopening
        from reconciliation.services.remediation import write_offs

        add_part(verification.LINES, verification.check_lines_daily)
        add_part(verification.BOOKINGS, verification.check_bookings_daily)
        add_part(bank.LINES, bank.check_lines_daily)
        add_part(bank.BOOKINGS, bank.check_bookings_daily)
        register(ApprovalCommand.REOPEN_PERIOD, reopening.REOPEN)
        register(ApprovalCommand.WRITE_OFF, write_offs.WRITE_OFF)
