"""Plays one business day of two merchants from outside: merchant API and sandbox PSP, over HTTP.

Models and services are not used here: a merchant's server could not.
"""
