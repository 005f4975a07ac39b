"""The one door: an outcome becomes state, books, events and the answer, in one transaction."""
