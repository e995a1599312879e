"""Invoices as tables: FOCUS 1.2, and any other with a day, a model and an amount, by the names of its columns.

Sources: FOCUS 1.2 (`ResourceName` is where our own exporter has the model). The export of OpenAI's dashboard, as in
github.com/xavierjflanagan/Guardian, `openai-usage-and-cost-report-2025-10-12.md`: Unix seconds beside the ISO day, and
a row without an amount for a day without cost. The cost export of Anthropic's Console, as public importers have its
header (github.com/axigatelabs/axigate-finops): dollars rounded to cents, models by names for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from services.core.invoice.amount import AmountError, nanousd
from services.core.invoice.line import InvoiceError, Line, Lines
from services.core.invoice.openai import model_of

NAMES: Final[Mapping[str, Sequence[str]]] = {
    "day": (
        "ChargePeriodStart",
        "usage_date_utc",
        "date",
        "day",
        "usage_date",
        "timestamp",
        "start_time_iso",
        "start_time",
    ),
    "until": ("ChargePeriodEnd",),
    "model": ("x_Model", "model", "model_version", "model_name", "line_item", "ResourceName", "SkuId", "sku"),
    "cost": ("BilledCost", "cost_usd", "amount_usd", "total_cost_usd", "cost", "amount", "amount_value"),
    "provider": ("ProviderName", "provider", "vendor"),
    "currency": ("BillingCurrency", "currency", "amount_currency"),
    "what": ("ChargeDescription", "token_type", "description"),
}
"""What a column may be called, the likeliest first; case, spaces and underscores do not matter."""
NEEDED: Final = ("day", "model", "cost")
LINE_ITEM: Final = "lineitem"
OWN_COLUMNS: Final = {
    "openai": ("amount_value", "line_item"),
    "anthropic": ("usage_date_utc", "token_type", "cost_usd"),
}
"""Columns that tell whose export it is, where none says so."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what; None: none does."""

    day: str
    until: str | None
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


def provider_of(header: Sequence[str]) -> str | None:
    """Whose export it is by its columns; None: anybody's."""
    there = {_plain(name) for name in header}
    return next((whose for whose, names in OWN_COLUMNS.items() if {_plain(name) for name in names} <= there), None)


def read_table(rows: Iterable[Mapping[str, Any]], columns: Columns, *, provider: str | None) -> Lines:
    """The lines of a table. `provider`: whose invoice it is, where no column says so. Raises InvoiceError by row.

    A row with neither an amount nor anything that it would be for is a day without cost, and no line.
    """
    for number, row in enumerate(rows, start=2):
        where = f"row {number}"
        if not any(_text(row, name) for name in (columns.cost, columns.model, columns.currency, columns.what)):
            continue
        currency = "" if columns.currency is None else str(row[columns.currency] or "")
        if currency and currency.upper() != "USD":
            raise InvoiceError(f"{where} is in {currency}, and ours is in USD")
        named = None if columns.provider is None else str(row[columns.provider] or "")
        whose = (provider or named or "").lower()
        if not whose:
            raise InvoiceError(f"{where} does not say whose invoice it is: name it with --provider")
        model, what = _text(row, columns.model), _text(row, columns.what)
        if _plain(columns.model) == LINE_ITEM:
            model, what = model_of(model)
        try:
            day = _day(row[columns.day])
            if model and columns.until is not None and _text(row, columns.until):
                _check_within(day, row[columns.until])
            yield Line(day, whose, model, nanousd(_amount(row[columns.cost])), what)
        except (AmountError, ValueError) as error:
            raise InvoiceError(f"{where}: {error}") from error


def _text(row: Mapping[str, Any], column: str | None) -> str:
    value = None if column is None else row[column]
    return "" if value is None else str(value).strip()


def _check_within(day: date, until: Any) -> None:
    if _instant(until) > datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1):
        raise ValueError("its charge period is part of more than one UTC day: export it by UTC days, or by hours")


def _amount(value: Any) -> str | int | Decimal:
    if value is None or value == "":
        raise AmountError("has no amount")
    # A float of a Parquet file holds what its shortest text says; no sum was made of it yet.
    return repr(value) if isinstance(value, float) else value


def _day(value: Any) -> date:
    return _instant(value).date()


def _instant(value: Any) -> datetime:
    """In UTC; a day is its beginning."""
    text = str(value).strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no day: write 2026-11-24") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
