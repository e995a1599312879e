"""One line of an invoice or of a cost export: a day, a model, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date


class InvoiceError(ValueError):
    """Something in the file cannot be read; the message says where, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a provider charged for a model on a UTC day. Model empty: for no model, such as searches or seats."""

    day: date
    provider: str
    model: str
    cost_nanousd: int
    what: str = ""


Lines = Iterator[Line]
