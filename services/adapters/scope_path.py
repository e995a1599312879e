"""A scope at the end of a URL's path, as programs and people write it there."""

from __future__ import annotations

from urllib.parse import unquote


def scope_in_path(raw_path: str, prefix: str) -> str:
    """The scope behind a prefix of a path, as it is written everywhere else.

    Clients may have encoded all of it once more, or decoded what need not be encoded in a path: `:` and `@` in values.
    """
    text = raw_path.removeprefix(prefix)
    parts = [part.partition(":") for part in (text if ":" in text else unquote(text)).split("/")]
    return "/".join(f"{name}{colon}{value.replace(':', '%3A').replace('@', '%40')}" for name, colon, value in parts)
