"""One instruction to a PSP: written down (tx 1), sent, and its outcome recorded (tx 2)."""
