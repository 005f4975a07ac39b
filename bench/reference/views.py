"""The bare view: two transactions with one PSP call between them, nine statements by cursor."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from psp_adapters.http import HttpAnswer, PspHttp

_MERCHANT = UUID(int=1)
_psp = PspHttp(
    os.environ["SANDBOX_PSP_URL"],
    {"Authorization": f"Bearer {os.environ['SANDBOX_PSP_API_KEY']}"},
)


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok")


class PaymentSerializer(serializers.Serializer[Any]):
    """What the bench sends, and no more."""

    amount = serializers.IntegerField(min_value=1)
    currency = serializers.RegexField("^[a-z]{3}$")
    confirm = serializers.BooleanField()
    payment_method = serializers.CharField(max_length=200)
    order_id = serializers.CharField(max_length=200)


class PaymentView(APIView):
    """POST creates, charges and answers one payment."""

    parser_classes = [FormParser]

    def post(self, request: Request) -> Response:
        data: Any = request.data
        serializer = PaymentSerializer(
            data={**data.dict(), "order_id": data.get("metadata[order_id]")}
        )
        serializer.is_valid(raise_exception=True)
        payment = _Payment(serializer.validated_data, request.headers["Idempotency-Key"])
        payment.write_down()
        connection.close()
        answer = payment.ask_psp()
        return Response(payment.record(answer))


class _Payment:
    def __init__(self, data: dict[str, Any], key: str) -> None:
        self.data = data
        self.key = key
        self.fingerprint = sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
        self.key_id, self.intent_id, self.attempt_id = uuid4(), uuid4(), uuid4()
        self.created_at = datetime.now(UTC)

    def write_down(self) -> None:
        """Transaction 1."""
        data, now = self.data, self.created_at
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO idempotency_key (id, merchant_id, key, fingerprint, created_at) "
                "VALUES (%s, %s, %s, %s, %s)",
                [self.key_id, _MERCHANT, self.key, self.fingerprint, now],
            )
            cursor.execute(
                "INSERT INTO intent (id, merchant_id, order_id, amount_minor, currency, status, "
                "created_at, updated_at) VALUES (%s, %s, %s, %s, %s, 'PROCESSING', %s, %s)",
                [
                    *(self.intent_id, _MERCHANT, data["order_id"], data["amount"]),
                    *(data["currency"].upper(), now, now),
                ],
            )
            cursor.execute(
                "INSERT INTO attempt (id, intent_id, amount_minor, status, psp_key, created_at) "
                "VALUES (%s, %s, %s, 'SENDING', %s, %s)",
                [self.attempt_id, self.intent_id, data["amount"], str(self.attempt_id), now],
            )

    def ask_psp(self) -> HttpAnswer:
        """The same call that the sandbox adapter makes."""
        answer = _psp.send(
            "POST",
            "/v1/payments",
            json={
                "reference": str(self.attempt_id),
                "order_id": self.data["order_id"],
                "amount_minor": self.data["amount"],
                "currency": self.data["currency"].upper(),
                "token": self.data["payment_method"],
                "capture": True,
                "challenge": "allow",
                "return_url": "",
                "metadata": {},
            },
            headers={"Idempotency-Key": str(self.attempt_id)},
            deadline_seconds=12,
        )
        if answer.status != 200:
            raise RuntimeError(f"the sandbox PSP answered {answer.status}")
        return answer

    def record(self, answer: HttpAnswer) -> dict[str, Any]:
        """Transaction 2; the answer that was stored."""
        operation = answer.json()
        now = datetime.now(UTC)
        shown = self._shown(operation)
        body = json.dumps(shown)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE intent SET status = 'CAPTURED', amount_captured_minor = %s, "
                "psp_reference = %s, updated_at = %s WHERE id = %s AND status = 'PROCESSING'",
                [self.data["amount"], operation["payment_id"], now, self.intent_id],
            )
            cursor.execute(
                "UPDATE attempt SET status = 'SUCCEEDED', psp_id = %s, closed_at = %s "
                "WHERE id = %s AND status = 'SENDING'",
                [operation["id"], now, self.attempt_id],
            )
            self._post(cursor, now)
            cursor.execute(
                "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) "
                "VALUES (%s, 'payment_intent', %s, 'payment_intent.succeeded', %s)",
                [uuid4(), self.intent_id, body],
            )
            cursor.execute(
                "UPDATE idempotency_key SET answer_status = 200, answer_body = %s "
                "WHERE id = %s AND answer_status IS NULL",
                [body, self.key_id],
            )
        return shown

    def _post(self, cursor: Any, now: datetime) -> None:
        """Two ledger transactions of two entries each."""
        authorized, captured = uuid4(), uuid4()
        cursor.execute(
            "INSERT INTO ledger_transaction (id, intent_id, rule, posted_at) "
            "VALUES (%s, %s, 'authorized', %s), (%s, %s, 'captured', %s)",
            [authorized, self.intent_id, now, captured, self.intent_id, now],
        )
        amount, currency = self.data["amount"], self.data["currency"].upper()
        cursor.execute(
            "INSERT INTO ledger_entry (transaction_id, account, direction, amount_minor, currency) "
            "VALUES (%s, 'held', 'D', %s, %s), (%s, 'held_contra', 'C', %s, %s), "
            "(%s, 'psp', 'D', %s, %s), (%s, 'merchant', 'C', %s, %s)",
            [
                *(authorized, amount, currency, authorized, amount, currency),
                *(captured, amount, currency, captured, amount, currency),
            ],
        )

    def _shown(self, operation: dict[str, Any]) -> dict[str, Any]:
        """About 1.2 kB, as a payment intent is."""
        intent_id = str(self.intent_id)
        amount = self.data["amount"]
        return {
            "id": intent_id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": amount,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": f"{intent_id}_secret_{self.key_id}",
            "confirmation_method": "automatic",
            "created": int(self.created_at.timestamp()),
            "currency": self.data["currency"],
            "customer": None,
            "description": None,
            "last_payment_error": None,
            "latest_charge": str(self.attempt_id),
            "livemode": False,
            "metadata": {"order_id": self.data["order_id"]},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": self.data["payment_method"],
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "succeeded",
            "transfer_data": None,
            "transfer_group": None,
            "psp": {"payment": operation["payment_id"], "operation": operation["id"]},
        }


urlpatterns = [path("healthz", healthz), path("v1/payment_intents", PaymentView.as_view())]
