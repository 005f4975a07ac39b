"""The adapter of Stripe, on its official SDK. Stripe's names appear in this folder only."""
