"""What the facade must know of a statement before the engine parses it: whether it brings data, and in which format."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024
COMMENT = rb"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
QUOTED = rb"`[^`]*`|\"[^\"]*\"|'(?:[^'\\]|\\.)*'"
INSERT_WITH_DATA = re.compile(
    COMMENT
    + rb"(?P<target>INSERT\s+INTO\s(?:"
    + QUOTED
    + rb"|[^`\"';])*?)\bFORMAT\s+(?P<format>\w+)[ \t]*(?:\r?\n|;|$)",
    re.IGNORECASE | re.DOTALL,
)
SOURCE_OF_ROWS = re.compile(rb"\b(?:SELECT|VALUES|WATCH|INFILE)\b", re.IGNORECASE)
TRAILING_FORMAT = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s[^;]*)?[\s;]*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows for a table: the statement up to its format, and the rows in that format."""

    target: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """Any other statement; `format` is the one it asks for itself."""

    sql: str
    format: str | None


def understand(text: bytes) -> Insert | Query:
    """Sort a request's text, statement and data together. Raises `UnicodeDecodeError` for SQL that is not UTF-8."""
    insert = INSERT_WITH_DATA.match(text[:HEAD_BYTES])
    if insert is not None and not SOURCE_OF_ROWS.search(re.sub(QUOTED, b"", insert["target"])):
        return Insert(insert["target"].decode(), insert["format"].decode(), text[insert.end() :])
    sql = text.decode().strip()
    trailing = TRAILING_FORMAT.search(sql)
    return Query(sql, trailing[1] if trailing else None)
