"""Invoices as tables: FOCUS 1.2, and any other with a day, a model and an amount, by the names of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from services.core.invoice.amount import AmountError, nanousd
from services.core.invoice.line import InvoiceError, Line, Lines

NAMES: Final[Mapping[str, Sequence[str]]] = {
    "day": ("ChargePeriodStart", "usage_date_utc", "date", "day", "usage_date", "timestamp", "start_time"),
    "model": ("x_Model", "model", "model_version", "model_name", "line_item", "SkuId", "sku"),
    "cost": ("BilledCost", "cost_usd", "amount_usd", "total_cost_usd", "cost", "amount", "amount_value"),
    "provider": ("ProviderName", "provider", "vendor"),
    "currency": ("BillingCurrency", "currency", "amount_currency"),
    "what": ("ChargeDescription", "token_type", "description"),
}
"""What a column may be called, the likeliest first; case, spaces and underscores do not matter."""
NEEDED: Final = ("day", "model", "cost")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what; None: none does."""

    day: str
    model: str
    cost: str
    provider: str | None
    currency: str | None
    what: str | None


def columns_of(header: Sequence[str], told: Mapping[str, str]) -> Columns:
    """Find the columns, or take those that were told. Raises InvoiceError for what is missing, with what there is."""
    by_name = {_plain(name): name for name in header}
    found: dict[str, str | None] = {}
    for role, names in NAMES.items():
        wanted = [told[role]] if role in told else names
        found[role] = next((by_name[_plain(name)] for name in wanted if _plain(name) in by_name), None)
        if found[role] is None and (role in NEEDED or role in told):
            there = ", ".join(header)[:300]
            raise InvoiceError(f"no column says the {role}: name it with --{role}-column; there are {there}")
    return Columns(**found)  # type: ignore[arg-type]


def read_table(rows: Iterable[Mapping[str, Any]], columns: Columns, *, provider: str | None) -> Lines:
    """The lines of a table. `provider`: whose invoice it is, where no column says so. Raises InvoiceError by row."""
    for number, row in enumerate(rows, start=2):
        where = f"row {number}"
        currency = "" if columns.currency is None else str(row[columns.currency] or "")
        if currency and currency.upper() != "USD":
            raise InvoiceError(f"{where} is in {currency}, and ours is in USD")
        named = None if columns.provider is None else str(row[columns.provider] or "")
        whose = (provider or named or "").lower()
        if not whose:
            raise InvoiceError(f"{where} does not say whose invoice it is: name it with --provider")
        try:
            yield Line(
                day=_day(row[columns.day]),
                provider=whose,
                model=str(row[columns.model] or "").strip(),
                cost_nanousd=nanousd(_amount(row[columns.cost])),
                what="" if columns.what is None else str(row[columns.what] or ""),
            )
        except (AmountError, ValueError) as error:
            raise InvoiceError(f"{where}: {error}") from error


def _amount(value: Any) -> str | int | Decimal:
    if value is None or value == "":
        raise AmountError("has no amount")
    # A float of a Parquet file holds what its shortest text says; no sum was made of it yet.
    return repr(value) if isinstance(value, float) else value


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).date()
    if isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-24") else _day(datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no day: write 2026-11-24") from error


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
