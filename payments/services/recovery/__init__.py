"""Finds out unknown outcomes: look up, repeat while that is safe, fence."""
