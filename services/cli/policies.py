"""Policies as text: how one is written out, and what differs between two."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from schemas.policy import Policy

Sign = Literal["+", "-", "~"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: something is new (+), gone (-) or has another value (~). Budgets go by their names."""

    sign: Sign
    path: str
    before: str = ""
    after: str = ""


def written(policy: Policy) -> str:
    """The policy as YAML that `load_policy` reads back: what is at its default is left out."""
    document = {"organization": policy.organization, **policy.model_dump(mode="json", exclude_defaults=True)}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def changes(before: Policy | None, after: Policy) -> list[Change]:
    """What is different in `after`, in the order in which it is written: new, changed, and removed things."""
    gone = set() if before is None else _budget_names(before) - _budget_names(after)
    added = _budget_names(after) - (set() if before is None else _budget_names(before))
    old = {} if before is None else dict(_leaves(_document(before, whole=gone)))
    new = dict(_leaves(_document(after, whole=added)))
    return [
        *(Change("+", path, after=value) for path, value in new.items() if path not in old),
        *(Change("~", path, old[path], value) for path, value in new.items() if path in old and old[path] != value),
        *(Change("-", path, before=value) for path, value in old.items() if path not in new),
    ]


def _budget_names(policy: Policy) -> set[str]:
    return {budget.name for budget in policy.budgets}


def _document(policy: Policy, *, whole: Container[str]) -> dict[str, Any]:
    """The policy with its budgets by name; those that only one side has are said in one line."""
    document = policy.model_dump(mode="json", exclude_defaults=True)
    document.pop("organization")
    budgets = {budget["name"]: _unnamed(budget) for budget in document.pop("budgets", ())}
    told = {f"budget {name}": _sentence(budget) if name in whole else budget for name, budget in budgets.items()}
    return {**told, **document}


def _sentence(budget: dict[str, Any]) -> str:
    rest = {name: value for name, value in budget.items() if name not in ("limit_usd", "window", "scope")}
    more = "".join(f", {name} {value}" for name, value in _leaves(rest))
    period = "in total" if budget["window"] == "total" else f"a {budget['window']}"
    return f"${budget['limit_usd']} {period} on {budget['scope']}{more}"


def _unnamed(budget: dict[str, Any]) -> dict[str, Any]:
    scope = "/".join(f"{name}:{value}" for name, value in budget.get("scope", {}).items())
    return {**{key: value for key, value in budget.items() if key != "name"}, "scope": scope or "organization"}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
