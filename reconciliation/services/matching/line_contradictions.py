"""A settlement line that cannot be true beside what we hold; whoever asked about it tells a person.

What may not live here: opening the case (whoever keeps the line does, once for each).
"""

from __future__ import annotations
