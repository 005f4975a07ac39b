"""Records disputes, keeps them in sync with the PSP, and sends responses."""
