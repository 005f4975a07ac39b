"""Routing: which PSP accounts may take a charge, in which order, and why."""
