"""The adapter of Mollie, on its official client. Mollie's names appear in this folder only."""
