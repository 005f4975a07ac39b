"""The name of the login under which the application runs."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from paymentsite import environment


def application_role() -> str:
    """The user of DATABASE_URL, whichever role this process itself logs in as."""
    url = environment.required("DATABASE_URL", "it names the role that the application runs as")
    return str(conninfo_to_dict(url)["user"])
