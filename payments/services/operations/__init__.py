"""One instruction to a PSP: stored (transaction 1), sent, its outcome recorded (transaction 2)."""
