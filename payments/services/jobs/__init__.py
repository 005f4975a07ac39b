"""What background jobs share: the due queue, backoff and wake-ups. Not what a job does."""
