"""Settings for tools that read the code but touch no database (mypy, makemigrations --check)."""

import os

os.environ.setdefault("PAYMENTS_ENVIRONMENT", "development")
os.environ.setdefault("DATABASE_POOL", "off")
os.environ.setdefault("DATABASE_URL", "postgresql://lint@127.0.0.1:1/nothing")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")

from paymentsite.settings import *
