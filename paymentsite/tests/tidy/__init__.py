"""Tests of the checks of the code, one file a module."""
