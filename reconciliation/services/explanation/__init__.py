"""Explains one payment: what happened to it, in order, and what of it is open or unexplained."""
