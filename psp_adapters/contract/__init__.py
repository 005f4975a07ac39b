"""What every PSP adapter offers and speaks in: one module per subject, `adapter` on top."""
