"""Rows that tests start from. Payments themselves are made by the commands, never by a factory."""

from __future__ import annotations

import uuid

import factory

from payments.models import Merchant, PspAccount


class PspAccountFactory(factory.django.DjangoModelFactory[PspAccount]):
    class Meta:
        model = PspAccount

    code = factory.LazyFunction(lambda: f"sandbox-{uuid.uuid4().hex[:12]}")
    psp = "sandbox"


class MerchantFactory(factory.django.DjangoModelFactory[Merchant]):
    class Meta:
        model = Merchant

    name = factory.Sequence(lambda number: f"Merchant {number}")
    test_psp_account = factory.SubFactory(PspAccountFactory)
