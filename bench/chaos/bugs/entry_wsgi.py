"""The web application with a seeded bug, as granian serves it in the test of the chaos test."""

from __future__ import annotations

import os

import django

from bench.chaos.bugs import planted
from paymentsite.launcher.lifeline import die_with_parent

die_with_parent()
