"""Checks of the code itself: `make lint`, `make quick`, and the figures that only fall.

Development only: it imports grimp, which a production installation does not have.
"""
