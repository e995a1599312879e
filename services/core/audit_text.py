"""What an audit entry says of a change of policy: the budgets added, removed, raised and lowered, in exact amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.budget import Budget
from schemas.policy import Policy
from services.core.money import format_usd, parse_usd

TEXT_MAX: Final = 60_000
"""The longest JSON text of an audit entry, in characters; a diff beyond it says how many budgets it leaves out."""

Amounts = Mapping[str, str]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class LimitChanges:
    """What differs between two policies, budgets by name. Amounts are dollars; `raised` and `lowered` are differences.

    `otherwise`: budgets that changed in something but their limit. `sections`: parts of the policy beside budgets.
    """

    before: Amounts
    added: Amounts
    removed: Amounts
    raised: Amounts
    lowered: Amounts
    otherwise: tuple[str, ...]
    sections: tuple[str, ...]

    @property
    def budgets(self) -> list[str]:
        """Every budget that changed, once, in alphabetical order."""
        return sorted({*self.added, *self.removed, *self.raised, *self.lowered, *self.otherwise})

    def texts(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
        """The JSON texts of both sides, each with more facts in front; bounded to `TEXT_MAX`."""
        names, kept = self.budgets, len(self.budgets)
        while True:
            sides = self._sides(before, after, set(names[:kept]), len(names) - kept)
            if kept == 0 or max(map(len, sides)) <= TEXT_MAX:
                return sides
            kept //= 2

    def _sides(
        self, before: Mapping[str, Any], after: Mapping[str, Any], names: set[str], omitted: int
    ) -> tuple[str, str]:
        limits = {name: usd for name, usd in self.before.items() if name in names}
        told: dict[str, Any] = {
            "added": _only(self.added, names),
            "removed": _only(self.removed, names),
            "raised": _only(self.raised, names),
            "lowered": _only(self.lowered, names),
            "otherwise": [name for name in self.otherwise if name in names],
            "sections": list(self.sections),
            "omitted": omitted,
        }
        found = {key: value for key, value in told.items() if value}
        return json_text({**before, **({"limits": limits} if limits else {})}), json_text({**after, **found})


def limit_changes(before: Policy | None, after: Policy) -> LimitChanges:
    """What is different in `after`; everything, where there was no policy before."""
    old = {} if before is None else {budget.name: budget for budget in before.budgets}
    new = {budget.name: budget for budget in after.budgets}
    differences = {name: _limit(new[name]) - _limit(old[name]) for name in sorted(old.keys() & new.keys())}
    otherwise = [name for name in differences if _otherwise(old[name]) != _otherwise(new[name])]
    removed = {name: format_usd(_limit(old[name])) for name in sorted(old.keys() - new.keys())}
    moved = {name for name, difference in differences.items() if difference} | set(otherwise)
    return LimitChanges(
        before={name: format_usd(_limit(old[name])) for name in sorted(moved)} | removed,
        added={name: format_usd(_limit(new[name])) for name in sorted(new.keys() - old.keys())},
        removed=removed,
        raised={name: format_usd(amount) for name, amount in differences.items() if amount > 0},
        lowered={name: format_usd(-amount) for name, amount in differences.items() if amount < 0},
        otherwise=tuple(otherwise),
        sections=tuple(_sections(before, after)),
    )


def json_text(value: Mapping[str, Any]) -> str:
    """JSON in the order given, the same bytes for the same value."""
    return _encoder.encode(value).decode()


def _only(amounts: Amounts, names: set[str]) -> dict[str, str]:
    return {name: usd for name, usd in amounts.items() if name in names}


def _limit(budget: Budget) -> int:
    return parse_usd(budget.limit_usd)


def _otherwise(budget: Budget) -> Budget:
    return budget.model_copy(update={"limit_usd": "0"})


def _sections(before: Policy | None, after: Policy) -> list[str]:
    names = sorted(set(Policy.model_fields) - {"organization", "budgets"})
    if before is None:
        return [name for name in names if getattr(after, name) != Policy.model_fields[name].get_default()]
    return [name for name in names if getattr(after, name) != getattr(before, name)]
