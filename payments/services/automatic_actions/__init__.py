"""Acts without a request: expiry warnings, automatic voids and cancels, late-success reversals."""
