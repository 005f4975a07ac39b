"""The verbs of a setup intent, which keeps a payment method for later payments."""
