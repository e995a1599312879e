"""Ours beside theirs, by provider, model and UTC day: what differs, and what only one of both knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from services.core.invoice.line import Line
from services.core.price_list import PriceList
from services.core.schedule import BASIS_POINTS

DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Key(NamedTuple):
    """What is compared: one model on one UTC day."""

    day: date
    provider: str
    model: str


Names = Callable[[str, str], tuple[str, str]]
"""A provider and a model by the names that both sides are compared under."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's day: what we charged (None: nothing of ours) and what the provider did (None: nothing of theirs)."""

    key: Key
    ours_nanousd: int | None
    theirs_nanousd: int | None
    unpriced: int = 0

    @property
    def correctable(self) -> bool:
        """Whether the provider said anything of it.

        That it did not is no word for nothing: its line may come later, or be named otherwise, and charges corrected to
        zero would give budgets back what was spent.
        """
        return self.theirs_nanousd is not None

    @property
    def difference_nanousd(self) -> int:
        """By how much theirs is more."""
        return (self.theirs_nanousd or 0) - (self.ours_nanousd or 0)


@dataclass(frozen=True, slots=True)
class Drift:
    """Every cell, by day and model; and what the invoice has for no model at all."""

    cells: tuple[Cell, ...]
    besides_nanousd: int

    @property
    def ours_nanousd(self) -> int:
        """All that we charged in the period of the invoice."""
        return sum(cell.ours_nanousd or 0 for cell in self.cells)

    @property
    def theirs_nanousd(self) -> int:
        """All that the invoice has for models."""
        return sum(cell.theirs_nanousd or 0 for cell in self.cells)

    def beyond(self, basis_points: int, least_nanousd: int) -> tuple[Cell, ...]:
        """The cells that differ by more than a share of the provider's figure, and by more than an amount."""
        return tuple(
            cell
            for cell in self.cells
            if abs(cell.difference_nanousd) > least_nanousd
            and abs(cell.difference_nanousd) * BASIS_POINTS > abs(cell.theirs_nanousd or 0) * basis_points
        )


def names_of(prices: PriceList) -> Names:
    """Two names that the price list knows as one model are one; what it does not know keeps its name.

    Names for people, `Claude 3.5 Sonnet 2024-10-22`, are read as those of the API, `claude-3-5-sonnet-20241022`.
    """
    known: dict[tuple[str, str], tuple[str, str]] = {}

    def names(provider: str, model: str) -> tuple[str, str]:
        pair = provider.lower(), model
        if pair not in known:
            name = _of_api(model)
            owner = prices.owner(name) if not provider else pair[0]
            found = prices.find(provider or None, name)
            known[pair] = owner or "", name.lower() if found is None else found.id
        return known[pair]

    return names


def _of_api(model: str) -> str:
    words = model.split()
    if len(words) < 2:
        return model
    *front, last = words
    written = last.replace("-", "") if DATE.fullmatch(last) else last
    return "-".join([*front, written]).replace(".", "-").lower()


def compare(ours: Iterable[tuple[Line, int]], theirs: Iterable[Line], names: Names) -> Drift:
    """Add up both sides and put them beside each other. Of ours, each line comes with its unpriced requests.

    Providers that the invoice does not name are not part of it, nor are days outside of its first and last.
    """
    invoiced: dict[Key, int] = {}
    besides = 0
    for line in theirs:
        if not line.model:
            besides += line.cost_nanousd
            continue
        key = Key(line.day, *names(line.provider, line.model))
        invoiced[key] = invoiced.get(key, 0) + line.cost_nanousd
    providers = {key.provider for key in invoiced}
    days = [key.day for key in invoiced]
    charged: dict[Key, tuple[int, int]] = {}
    for line, unpriced in ours:
        key = Key(line.day, *names(line.provider, line.model))
        if not days or key.provider not in providers or not min(days) <= key.day <= max(days):
            continue
        cost, before = charged.get(key, (0, 0))
        charged[key] = cost + line.cost_nanousd, before + unpriced
    cells = [
        Cell(
            key,
            charged[key][0] if key in charged else None,
            invoiced.get(key),
            charged[key][1] if key in charged else 0,
        )
        for key in sorted({*invoiced, *charged})
    ]
    return Drift(tuple(cells), besides)
