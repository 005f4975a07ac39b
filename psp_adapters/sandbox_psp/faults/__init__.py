"""Faults that the control API sets: latency, lost answers, lost or forged webhooks."""
