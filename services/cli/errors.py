"""What can go wrong at a terminal: each error says what happened and what to do next."""

from __future__ import annotations


class CliError(Exception):
    """A refusal for a person. `advice` is the next thing to try; the command ends with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


class NoStack(CliError):
    """No running installation was found."""

    exit_code = 3


class Unreachable(CliError):
    """A service is known and does not answer."""

    exit_code = 4


class Mismatch(CliError):
    """Numbers that must be equal are not: what the exit code of `demo` and `audit` is about."""
