"""The reconciliation app, and what it adds to the console when it starts."""

from typing import Any

from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        """Add the settlement lines to the story of a payment, which knows nothing of reports."""
        from payments.admin.story import STORY_SECTIONS, SectionOfApp
        from payments.models import PaymentIntent

        def settlement(intent: PaymentIntent) -> Any:
            # The pages can be imported once all apps are ready.
            from reconciliation.admin.line import settlement_of_payment

            return settlement_of_payment(intent)

        section = SectionOfApp(permission="reconciliation.view_settlementline", build=settlement)
        STORY_SECTIONS.append(section)
