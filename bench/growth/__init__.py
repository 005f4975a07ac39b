"""Years of plausible history, made of a few dozens of real payments, and what is slow on it."""
