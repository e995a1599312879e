"""Names of organizations and teams as names of files: readable, one for each, and never a way out of a folder."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from urllib.parse import quote

LENGTH_MAX: Final = 120


def file_name(text: str) -> str:
    """A name without separators and leading dots, at most 120 characters; long ones end with a digest of the whole."""
    quoted = quote(text, safe="")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) <= LENGTH_MAX:
        return quoted
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{quoted[: LENGTH_MAX - len(digest) - 1]}-{digest}"
