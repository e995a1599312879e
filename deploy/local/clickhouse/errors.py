"""Errors as ClickHouse tells them: a number, a text, and the HTTP status that goes with the number."""

from __future__ import annotations

import re

UNKNOWN_EXCEPTION = 1002
CODE = re.compile(r"Code: (\d+)\.")

BAD_INPUT = (6, 16, 20, 26, 27, 36, 38, 41, 43, 44, 53, 62, 69, 72, 117, 130, 131, 452, 457)
NOT_FOUND = (46, 47, 50, 56, 60, 81, 115)
STATUS = {
    **dict.fromkeys(BAD_INPUT, 400),
    **dict.fromkeys(NOT_FOUND, 404),
    194: 401,  # REQUIRED_PASSWORD
    497: 403,  # ACCESS_DENIED
    516: 403,  # AUTHENTICATION_FAILED
    159: 408,  # TIMEOUT_EXCEEDED
    223: 413,  # QUERY_IS_TOO_LARGE
    48: 501,  # NOT_IMPLEMENTED
    202: 503,  # TOO_MANY_SIMULTANEOUS_QUERIES
}


class QueryError(Exception):
    """What a query ends with when it fails; `text` is the engine's own, from `Code: ` on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def of_engine(cls, error: Exception) -> QueryError:
        """What the engine raised, without what the library put before it."""
        message = str(error).strip()
        found = CODE.search(message)
        if found is None:
            return cls.named(UNKNOWN_EXCEPTION, message, "UNKNOWN_EXCEPTION")
        return cls(int(found[1]), message[found.start() :])

    @classmethod
    def named(cls, code: int, message: str, name: str) -> QueryError:
        """One of the facade's own, in the same words as the engine's."""
        return cls(code, f"Code: {code}. DB::Exception: {message} ({name})")

    @property
    def status(self) -> int:
        """The HTTP status that a ClickHouse server answers with."""
        return STATUS.get(self.code, 500)
