"""The platform under test: its processes, its sandbox PSP, and what to do to them."""
