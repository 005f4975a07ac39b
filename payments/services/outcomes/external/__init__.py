"""Operations that began at the PSP, and expiries."""
