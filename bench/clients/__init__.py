"""Acceptance with clients that others wrote: old and new SDKs, dj-stripe, Medusa's provider."""
