"""OpenAI's costs: the answers of `GET /v1/organization/costs`, one or a list of pages, grouped by line item.

Source: OpenAI API reference, "Costs" (`organization.costs.result`: `amount.value` in dollars, `line_item` such as
`gpt-4o-2024-08-06, input`; buckets of one UTC day). `amount.value` also comes as a string
(https://github.com/steipete/CodexBar/issues/999), and a line item without its class of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from services.core.invoice.amount import AmountError, nanousd
from services.core.invoice.line import InvoiceError, Line, Lines

PROVIDER: Final = "openai"
NOT_GROUPED: Final = "ask the API again with group_by=line_item: without it, nobody can tell which model it was"


def is_openai(pages: Sequence[Any]) -> bool:
    """Whether these are answers of the costs endpoint."""
    return bool(pages) and all(isinstance(page, Mapping) and page.get("object") == "page" for page in pages)


def read_openai(pages: Sequence[Any]) -> Lines:
    """The lines of all buckets. Raises InvoiceError, naming the bucket, also when a page is missing at the end."""
    for number, page in enumerate(pages, start=1):
        for at, bucket in enumerate(page.get("data", ())):
            where = f"page {number}, bucket {at + 1}"
            try:
                day = datetime.fromtimestamp(bucket["start_time"], UTC).date()
                results = bucket["results"]
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise InvoiceError(f"{where} is no bucket of costs: {error!r}") from error
            for result in results:
                yield _line(where, day, result)
    if pages and pages[-1].get("has_more"):
        raise InvoiceError("the last page says that there are more: fetch them all, in one file as a list of pages")


def _line(where: str, day: Any, result: Any) -> Line:
    try:
        amount, item = result["amount"], result.get("line_item")
        currency, value = str(amount["currency"]), amount["value"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvoiceError(f"{where} has a result without an amount: {error!r}") from error
    if currency.lower() != "usd":
        raise InvoiceError(f"{where} is in {currency}, and ours is in USD")
    if item is None:
        raise InvoiceError(f"{where} does not say for what: {NOT_GROUPED}")
    try:
        cost = nanousd(value)
    except AmountError as error:
        raise InvoiceError(f"{where}, {item}: {error}") from error
    model, what = model_of(str(item))
    return Line(day, PROVIDER, model, cost, what)


def model_of(line_item: str) -> tuple[str, str]:
    """The model of a line item, and what of it; no model where it is for something else, such as searches.

    Ids of models have no spaces in them, and what is no model has: `web search tool calls`.
    """
    model, _, what = line_item.partition(", ")
    return ("", line_item) if " " in model else (model, what)
