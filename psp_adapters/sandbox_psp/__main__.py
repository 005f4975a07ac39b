"""Command line of the sandbox PSP: `python -m psp_adapters.sandbox_psp --port N --store PATH`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import sys
from pathlib import Path

from psp_adapters.sandbox_psp.server.server import serve


def main() -> int:
    """Run the simulator. Returns 1, with one line on stderr, if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m psp_adapters.sandbox_psp")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--store", type=Path, required=True, help="SQLite file, made if missing")
    parser.add_argument("--control", action="store_true", help="answer /control/ on loopback")
    options = parser.parse_args()
    # The state only grows and has few cycles: full collections would be pauses without a gain.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        asyncio.run(
            serve(
                host=options.host,
                port=options.port,
                store_path=options.store,
                control=options.control,
            )
        )
    except OSError as error:
        reason = error.strerror or error
        where = f"{options.host}:{options.port}"
        print(f"sandbox PSP: cannot listen on {where}: {reason}", file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(f"sandbox PSP: cannot use the store {options.store}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
