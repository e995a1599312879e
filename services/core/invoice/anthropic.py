"""Anthropic's costs: the answers of `GET /v1/organizations/cost_report`, one or a list of pages, by description.

Source: Anthropic Admin API, "Get Cost Report": `amount` is a decimal string in the lowest unit of the currency, so
"123.45" in USD is $1.2345; buckets of one UTC day; `model` is null for what is not paid by tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from services.core.invoice.amount import AmountError, nanousd
from services.core.invoice.line import InvoiceError, Line, Lines
from services.core.money import NANOS_PER_USD

PROVIDER: Final = "anthropic"
CENT: Final = NANOS_PER_USD // 100


def is_anthropic(pages: Sequence[Any]) -> bool:
    """Whether these are answers of the cost report."""
    return bool(pages) and all(
        isinstance(page, Mapping) and "has_more" in page and "object" not in page and "data" in page for page in pages
    )


def read_anthropic(pages: Sequence[Any]) -> Lines:
    """The lines of all buckets. Raises InvoiceError, naming the bucket, also when a page is missing at the end."""
    for number, page in enumerate(pages, start=1):
        for at, bucket in enumerate(page["data"]):
            where = f"page {number}, bucket {at + 1}"
            try:
                day = datetime.fromisoformat(bucket["starting_at"]).astimezone(UTC).date()
                results = bucket["results"]
            except (KeyError, TypeError, ValueError) as error:
                raise InvoiceError(f"{where} is no bucket of a cost report: {error!r}") from error
            for result in results:
                yield _line(where, day, result)
    if pages and pages[-1]["has_more"]:
        raise InvoiceError("the last page says that there are more: fetch them all, in one file as a list of pages")


def _line(where: str, day: date, result: Any) -> Line:
    try:
        amount, currency = result["amount"], str(result.get("currency", "USD"))
        model, what = result.get("model"), result.get("token_type") or result.get("description") or ""
    except (KeyError, TypeError, AttributeError) as error:
        raise InvoiceError(f"{where} has a result without an amount: {error!r}") from error
    if currency.upper() != "USD":
        raise InvoiceError(f"{where} is in {currency}, and ours is in USD")
    if not what:
        raise InvoiceError(f"{where} does not say for what: ask the API again with group_by[]=description")
    try:
        cost = nanousd(amount, unit_nanousd=CENT)
    except AmountError as error:
        raise InvoiceError(f"{where}, {what}: {error}") from error
    return Line(day, PROVIDER, model or "", cost, str(what))
