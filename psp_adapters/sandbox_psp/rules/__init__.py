"""What the sandbox PSP allows and records: payments, late outcomes, disputes, settlement."""
