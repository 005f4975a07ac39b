"""Inbound PSP webhooks: received and stored raw, then processed; dead letters replayed."""
