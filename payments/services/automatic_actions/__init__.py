"""Acts that no request asked for: expiry warnings, automatic voids and cancels, reversals of late
successes.
"""
