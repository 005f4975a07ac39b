"""No column keeps a card number from outside: it is masked, or refused with its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from django.apps import apps
from django.db import models

from payments.models import Case, DeliveryAttempt, PspNotification
from payments.public_ids import new_id
from payments.services.cases.opening import case_about_account, open_case
from payments.services.commands.operators.cases import close_case
from payments.services.merchant_webhooks.attempt_results import readable
from payments.services.psp_notifications import processing
from payments.states import CaseKind
from payments.tests.support.factories import staff
from payments.tests.support.notices import store_notice
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.card_numbers import holds_card_number
from reconciliation.models import ReportChunk, SettlementReport
from reconciliation.tests.support.settling import CHARGES, Settling, speak_plainly

CARD: Final = "4242/4242/4242/4242"
MASKED: Final = "****/****/****/4242"
SPOKEN: Final = f"card {CARD} is lost"
TEXTS: Final = ("CharField", "TextField", "JSONField", "BinaryField", "ArrayField")


def _columns(text: str) -> set[str]:
    found = set()
    for each in text.split():
        table, _, names = each.partition(".")
        found |= {f"{table}.{name}" for name in names.split(",")}
    return found


OUTSIDE: Final = _columns(
    "Case.summary,resolution DeliveryAttempt.response,error Delivery.last_error "
    "Dispute.reason,network_reason_code DisputeResponse.code,message,detail "
    "FailedEvent.last_error IdempotencyKey.answer_body Event.payload "
    "Operation.code,decline_code,message,detail PaymentIntent.last_payment_error "
    "PspNotification.type,our_references,body,headers,last_error Refund.failure_reason "
    "ReportChunk.body StagedLine.psp_type,reference SettlementReport.reading_progress "
    "WatchedFile.last_error ScheduledExport.last_error "
    "ReportFetch.last_error SettlementLine.psp_type,reference,last_error "
    "SettlementReport.last_error PaymentMethod.brand,funding,country,method_type,fingerprint,last4 "
    "Operation.payment_method_details CardVelocity.fingerprint "
    "SetupAttempt.code,decline_code,message,detail,payment_method_details "
    "SetupIntent.last_setup_error AuditEntry.actor,reason,refusal,subject "
    "BankStatementFile.body BankStatement.reference BankLine.text,last_error "
    "BooksClose.reason Approval.decision_reason,result"
)
"""What a PSP, a bank, an endpoint or an operator wrote: masked before it is stored, or made of what
was masked; a report's file is refused."""
IDS: Final = _columns(
    "Dispute.psp_dispute_id PaymentMethod.token,alternatives,stored_token "
    "Operation.psp_id,psp_payment_id,redirect_url,token "
    "PaymentIntent.psp_reference,next_action_url PspNotification.event_id,psp_payment_id "
    "PspNotification.psp_dispute_id,psp_id SettlementLine.identity,psp_id,psp_payment_id "
    "StagedLine.identity,psp_id,psp_payment_id WatchedFile.name "
    "SettlementReport.name ReportFetch.name SetupAttempt.psp_id,token,network_transaction_id "
    "PaymentMethod.network_transaction_id Operation.network_transaction_id "
    "Operation.network_charge_id SettlementLine.psp_payout_id StagedLine.psp_payout_id "
    "PayoutSum.psp_payout_id "
    "SetupIntent.next_action_url Mandate.psp_reference BankLine.bank_reference,end_to_end_id "
    "BankLine.named_by BankStatementFile.name BankAccount.number"
)
"""Ids and links of a PSP, which must stay as they are; a token of digits only is refused."""
MERCHANT: Final = _columns(
    "Customer.name,email,phone,description,address,shipping,metadata,preferred_locales "
    "PaymentMethod.billing_details,metadata Event.idempotency_key IdempotencyKey.key,expand "
    "WebhookEndpoint.url,description,metadata,enabled_events,api_version "
    "PaymentIntent.order_id,idempotency_key,return_url,description,receipt_email,shipping,metadata "
    "PaymentIntent.statement_descriptor,statement_descriptor_suffix,payment_method_types "
    "PaymentIntent.automatic_payment_methods,amount_details,level3,payment_method_options "
    "Operation.purchase_details "
    "Operation.order_id,guard_order,return_url "
    "Dispute.evidence,metadata DisputeResponse.evidence Refund.description,metadata "
    "CheckoutSession.line_items,success_url,cancel_url,customer_email,client_reference_id,metadata "
    "PaymentLink.line_items,intent_details,redirect_url,inactive_message,metadata "
    "IdempotencyKey.api_version Event.api_version SetupAttempt.return_url "
    "SetupIntent.payment_method_types,automatic_payment_methods,payment_method_options "
    "SetupIntent.return_url,description,metadata,idempotency_key Mandate.ip_address,user_agent"
)
"""What merchants send: refused with `card_data_not_allowed` (payments/tests/api)."""
OURS: Final = _columns(
    "BooksCheck.name,part StreamGroup.name ApiKey.name,secret_sha256,last4 "
    "PspAccount.psp,code,status,sealed_credentials,limits,costs,methods,currencies,countries "
    "PspAccount.settlement_calendar,rules_off MissingSettlement.currency StatedBalance.currency "
    "RoutingRule.name,conditions,targets RoutingDecision.reason,rule_name,candidates "
    "Merchant.name,late_success_policy,dispute_loss_policy,disputed_refund_policy "
    "Merchant.refund_approval_limits ApprovalLimit.command,currency "
    "Approval.command,subject,currency,content,digest,status,requester,request_id,approver "
    "Approval.request_reason,ended_by "
    "Mandate.status,use,currency,acceptance "
    "Case.kind,subject,status,currency,closed_by,discrepancy Customer.tax_exempt Deadline.status "
    "PaymentMethod.allow_redisplay SetupIntent.status,usage,client_secret,cancellation_reason "
    "SetupAttempt.status,psp_key,usage,three_d_secure,actor,request_id Operation.save_for "
    "CheckoutSession.token,status,bank_decision,locale,submit_type "
    "PaymentLink.currency,token,method_types,submit_type "
    "Event.aggregatetype,type,actor,request_id Delivery.status "
    "WebhookEndpoint.sealed_secret,sealed_previous_secret,status,disabled_because,delivery_order "
    "PaymentIntent.currency,status,published_status,capture_method,client_secret "
    "PaymentIntent.cancellation_reason,setup_future_usage,confirmation_method "
    "Operation.three_d_secure "
    "Operation.currency,kind,status,psp_key,cancellation_reason,status_before,actor,request_id "
    "Dispute.currency,status,loss_policy,answered_stage "
    "DisputeResponse.kind,stage,status,psp_key,actor,request_id "
    "IdempotencyKey.fingerprint,request_id PspNotification.claims,status,body_sha256 "
    "PspNotification.claimed_kind,claimed_currency "
    "Refund.currency,status,reason FailedEvent.group,type "
    "SettlementReport.imported_by,body_sha256,status SettlementLine.content_sha256,kind,currency "
    "SettlementLine.status,discrepancy AuditEntry.act,result,source,changes "
    "AuditEntry.request_id ServiceKey.name,secret_sha256,last4 "
    "ScheduledExport.export,file,file_sha256 "
    "BooksClose.psp_accounts,author,open_points,balances_sha256,head_sha256 "
    "BankAccount.currency,psp_accounts BankStatementFile.format,body_sha256,imported_by "
    "BankStatement.identities,content_sha256 BankLine.identity,currency,status,discrepancy "
    "StagedLine.converted_from_currency,exchange_rate "
    "SettlementLine.converted_from_currency,exchange_rate "
    "StagedLine.content_sha256,kind,currency LineVariance.discrepancy,component,currency "
    "PayoutSum.currency"
)
"""Made by the platform or its operators' commands."""


def text_columns() -> Iterator[tuple[type[models.Model], models.Field[object, object]]]:
    for app in ("payments", "reconciliation"):
        for model in apps.get_app_config(app).get_models():
            for field in model._meta.concrete_fields:
                if any(parent.__name__ in TEXTS for parent in type(field).__mro__):
                    yield model, field


def test_every_text_column_is_masked_or_is_named_as_one_that_needs_no_mask() -> None:
    columns = {f"{model.__name__}.{field.column}" for model, field in text_columns()}
    named = [*OUTSIDE, *IDS, *MERCHANT, *OURS]
    assert columns == set(named), columns ^ set(named)
    assert len(named) == len(set(named))


def test_a_card_number_from_outside_is_nowhere_in_the_database(settling: Settling) -> None:
    shop = settling.shop
    _declined(shop)
    _noticed(shop)
    _in_cases(shop)
    _answered(shop)
    with pytest.raises(ValueError, match="line 4 holds what looks like a card number") as refusal:
        settling.store(CHARGES + f"l4 {CARD} x 1 0\n".encode())
    assert CARD not in str(refusal.value)
    assert not SettlementReport.objects.exists()
    assert not ReportChunk.objects.exists()
    masked = set()
    for model, field in text_columns():
        for value in model._default_manager.values_list(field.attname, flat=True):
            text = bytes(value).decode() if isinstance(value, memoryview | bytes) else str(value)
            assert not holds_card_number(text), f"{model.__name__}.{field.column}"
            if MASKED in text:
                masked.add(f"{model.__name__}.{field.column}")
    assert masked >= _columns(
        "Case.summary,resolution DeliveryAttempt.response Operation.message "
        "PaymentIntent.last_payment_error Event.payload PspNotification.type,body"
    )


def _declined(shop: Shop) -> None:
    decline = {"code": "card_declined", "decline_code": "lost_card", "message": SPOKEN}
    shop.psp.script({"decline": decline}, kind="authorize")
    assert MASKED in body_of(shop.create())["payment_intent"]["last_payment_error"]["message"]


def _noticed(shop: Shop) -> None:
    given = {"id": "sev_card", "type": CARD, "note": f"PAN {CARD}"}
    store_notice(shop, **given)
    assert processing.process_due_notifications() == 1
    assert PspNotification.objects.get().status == "processed"


def _in_cases(shop: Shop) -> None:
    case = case_about_account(CaseKind.CONTRADICTION, shop.account, SPOKEN, subject="x")
    assert open_case(case)
    close_case(case.id, author=staff("ada"), resolution=f"The PSP says: {SPOKEN}")
    assert Case.objects.get(pk=case.pk).resolution == f"The PSP says: card {MASKED} is lost"


def _answered(shop: Shop) -> None:
    """What an endpoint answered, as an attempt keeps it."""
    DeliveryAttempt.objects.create(
        delivery_id=new_id(),
        number=1,
        started_at="2026-01-01T00:00:00Z",
        duration_ms=1,
        response=readable(SPOKEN.encode()),
    )


def test_an_id_of_the_psp_that_looks_like_a_card_number_is_none(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_plainly(settling.shop, monkeypatch)
    settling.read(CHARGES + b"l8 charge cap_4111111111111111 1 0\nl9 charge 4242424242424242 1 0\n")
    assert settling.lines(psp_id="4242424242424242")
    assert settling.lines(psp_id="cap_4111111111111111")
