"""What the sandbox PSP decides: payments, disputes, settlement, late outcomes."""
