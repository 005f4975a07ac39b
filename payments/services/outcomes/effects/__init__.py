"""Applies outcomes while their operation is open."""
