"""Adopts what a PSP shows of a payment: posts the difference to our books, and what follows."""
