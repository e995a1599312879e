"""A provider's invoice beside our own charges: read strictly, compared, and corrected to the nano-dollar."""

from services.core.invoice.amount import AmountError, nanousd
from services.core.invoice.line import InvoiceError, Line, Lines
from services.core.invoice.match import Cell, Drift, Key, Names, compare, names_of
from services.core.invoice.spread import Correctable, Corrected, spread

__all__ = [
    "AmountError",
    "Cell",
    "Correctable",
    "Corrected",
    "Drift",
    "InvoiceError",
    "Key",
    "Line",
    "Lines",
    "Names",
    "compare",
    "names_of",
    "nanousd",
    "spread",
]
