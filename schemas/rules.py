"""Rules of a policy that move money between its budgets: when, from where, to whom, and how much at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Final, Literal, Self, cast

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.budget import EVERY, Budget, Part, Percent
from schemas.fields import RULE_WHEN, Duration, Identifier, Usd, basis_points, duration_ms
from schemas.problems import Problem

SIBLINGS: Final = "siblings"
RULES_MAX: Final = 64
LIMIT: Final = "limit"

Metric = Literal["utilization", "pace", "forecast"]
When = Annotated[str, Field(max_length=64, pattern=RULE_WHEN)]


class Rule(Part):
    """Moves a step of money to a budget of `give_to` when it is in need, until the window ends.

    `take_from` is a budget that holds a reserve, or `siblings`: budgets of the same dimensions, within the same wider
    ones. `when` compares with `utilization` (spent of the limit), `pace` (utilization by the part of the window that is
    over) or `forecast` (expected of the limit). `most_usd` is what the rule moves in a window, `cooldown` how long it
    rests after each move to a budget.
    """

    name: Identifier
    take_from: Identifier
    give_to: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=64)]
    when: When
    step_usd: Usd | None = None
    step_percent: Percent | None = None
    most_usd: Usd | None = None
    cooldown: Duration = "5m"

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if (self.step_usd is None) == (self.step_percent is None):
            raise PydanticCustomError(
                "no_single_step", "write step_usd (an amount) or step_percent (of the taker's limit), and not both"
            )
        if self.step_usd is not None and not Decimal(self.step_usd):
            raise PydanticCustomError("step_of_nothing", "step_usd moves nothing: write an amount")
        return self

    @property
    def metric(self) -> Metric:
        """What is compared."""
        return cast(Metric, self.when.partition(" ")[0])

    @property
    def threshold_bp(self) -> int:
        """What it is compared with, in basis points; `limit` is one."""
        threshold = self.when.rpartition(" ")[2]
        return basis_points(Decimal(1) if threshold == LIMIT else Decimal(threshold))

    @property
    def reaches(self) -> bool:
        """Whether to be equal is enough."""
        return ">=" in self.when

    @property
    def step_bp(self) -> int | None:
        """The step in basis points of the taker's limit."""
        return None if self.step_percent is None else basis_points(self.step_percent / 100)

    @property
    def cooldown_ms(self) -> int:
        """How long the rule rests."""
        return duration_ms(self.cooldown)


def rule_problems(rules: Sequence[Rule], budgets: Sequence[Budget]) -> Iterator[Problem]:
    """Every rule that cannot work with these budgets, and what to write instead."""
    names = Counter(rule.name for rule in rules)
    known = {budget.name: budget for budget in budgets}
    for index, rule in enumerate(rules):
        at = f"rules[{index}]"
        if names[rule.name] > 1:
            yield Problem(f"{at}.name", f"{rule.name!r} names {names[rule.name]} rules: rename one")
        if rule.take_from != SIBLINGS:
            yield from _unknown(rule.take_from, known, f"{at}.take_from", f", or {SIBLINGS}")
        for place, name in enumerate(rule.give_to):
            yield from _unknown(name, known, f"{at}.give_to[{place}]", "")
            if name in known:
                yield from _unfit(rule, known[name], known.get(rule.take_from), f"{at}.give_to[{place}]")


def siblings_of(budget: Budget, budgets: Sequence[Budget]) -> list[Budget]:
    """Budgets of the same window that split the same wider scope: they differ in the narrowest dimension alone."""
    return [
        each
        for each in budgets
        if each.name != budget.name
        and each.window == budget.window
        and each.scope.keys() == budget.scope.keys()
        and EVERY not in each.scope.values()
        and _shared(each) == _shared(budget)
    ]


def _shared(budget: Budget) -> dict[str, str]:
    """What siblings have in common: a team's project, and nothing where one dimension tells them apart."""
    scope = dict(budget.scope)
    if len(scope) > 1:
        scope.pop("team" if "team" in scope else max(scope))
        return scope
    return {}


def _unknown(name: str, known: Mapping[str, Budget], at: str, other: str) -> Iterator[Problem]:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"name a budget{other}"
        yield Problem(at, f"no budget is called {name!r}; {advice}")
    elif EVERY in known[name].scope.values():
        yield Problem(at, f"{name!r} is a limit for each of many (`*`): name the one in a budget of its own")


def _unfit(rule: Rule, taker: Budget, giver: Budget | None, at: str) -> Iterator[Problem]:
    if rule.metric != "utilization" and taker.window == "total":
        yield Problem(at, f"{taker.name!r} has no end to keep a {rule.metric} to: use utilization")
    if giver is None:
        return
    if giver.name == taker.name:
        yield Problem(at, f"{taker.name!r} cannot take from itself")
    elif giver.window != taker.window:
        yield Problem(at, f"{taker.name!r} counts by the {taker.window}, {giver.name!r} by the {giver.window}")
    elif giver.scope.items() <= taker.scope.items() or taker.scope.items() <= giver.scope.items():
        yield Problem(
            at, f"{giver.name!r} and {taker.name!r} count some spending both: take from a reserve beside {taker.name!r}"
        )
