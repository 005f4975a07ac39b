"""Tests of the site, and the pytest plugin that all tests use."""
