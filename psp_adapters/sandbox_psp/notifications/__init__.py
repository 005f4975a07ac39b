"""Sends the sandbox PSP's webhooks."""
