"""Creates and revokes the keys with which programs act under a name of their own.

A key is shown once; only its hash is kept.
"""

from __future__ import annotations

from hashlib import sha256

from django.db import transaction

from payments.clock import now_utc
from payments.models.audit import Act, ServiceKey
from payments.services.audit.authors import Author, new_service_secret
from payments.services.audit.trail import AuditSubject, record_act, refusals_recorded


def create_service_key(name: str, *, author: Author) -> tuple[ServiceKey, str]:
    """Create a service with a key; the second value is the key. Raises ValidationError."""
    secret = new_service_secret()
    key = ServiceKey(
        name=name,
        secret_sha256=sha256(secret.encode()).hexdigest(),
        last4=secret[-4:],
        created_at=now_utc(),
    )
    with refusals_recorded(Act.SERVICE_KEY_CREATE, author, _about(key)), transaction.atomic():
        key.full_clean()
        key.save(force_insert=True)
        record_act(Act.SERVICE_KEY_CREATE, author, _about(key))
    return key, secret


def revoke_service_key(key: ServiceKey, *, author: Author) -> None:
    """Refuse a key from now on; revoking again changes nothing. Its name is never used again."""
    with transaction.atomic():
        valid = ServiceKey.objects.filter(pk=key.pk, revoked_at__isnull=True)
        if valid.update(revoked_at=now_utc()):
            record_act(Act.SERVICE_KEY_REVOKE, author, _about(key))
    key.refresh_from_db()


def _about(key: ServiceKey) -> AuditSubject:
    return AuditSubject(label=f"service:{key.name}", object_id=key.pk)
