"""`python -m deploy.local.kafka`: have everything that a broker needs on this machine, before the first one starts."""

from __future__ import annotations

import sys

from deploy.local.cache import SetupError
from deploy.local.kafka.jars import ensure_jars
from deploy.local.kafka.java import find_java


def main() -> int:
    """The exit code: 1 when something is missing that cannot be fetched; what to do is on stderr."""
    try:
        print(f"Kafka in {ensure_jars()}, run by {find_java()}")
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
