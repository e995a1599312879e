"""A company whose gateways want more than it may spend: its limits at every level, who spends, and how much at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any, Final

from services.core.money import NANOS_PER_USD, format_usd
from services.core.scope import Level, level_of, parse_scope, scope_key

WINDOW: Final = "total"
"""A window that never turns, whenever the test runs."""
MODEL: Final = "gpt-4o"
LADDER: Final = ((4_000, 2_000), (2_000, 500), (500, 100), (50, 10), (1, 1))
"""Input and output tokens of a request: who is denied asks for less, down to the smallest there is."""
SMALLEST: Final = len(LADDER) - 1
PROJECTS: Final = ("search", "support")
TEAMS: Final = ("ranking", "indexing")
USERS: Final = 8


@dataclass(frozen=True, slots=True)
class Spender:
    """Who a request is for."""

    organization: str
    project: str
    team: str
    user: str

    @property
    def dimensions(self) -> dict[str, str]:
        """As they are written in asks and usage."""
        return {"organization": self.organization, "project": self.project, "team": self.team, "user": self.user}

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every level that the request counts toward."""
        whose = {"org": self.organization, "project": self.project}
        return (
            scope_key({"org": self.organization}),
            scope_key(whose),
            scope_key({**whose, "team": self.team}),
            scope_key({"org": self.organization, "user": self.user}),
        )


@dataclass(frozen=True, slots=True)
class Company:
    """An organization with hard budgets at all levels: a share of its limit for one project, one team and each user.

    All of them run out before the company does, as the demand is for more of each; `limit_nanousd` binds in the end.
    """

    name: str
    limit_nanousd: int

    @property
    def limits(self) -> dict[Level, int]:
        """The hard limit of each level's budget, in nano-dollars."""
        limit = self.limit_nanousd
        return {
            Level.ORGANIZATION: limit,
            Level.PROJECT: limit * 4 // 10,
            Level.TEAM: limit * 15 // 100,
            Level.USER: limit * 2 // 10,
        }

    @property
    def hot(self) -> dict[Level, str]:
        """The scope at each level for which there is more demand than budget."""
        scopes = Spender(self.name, "search", "ranking", "user-0").scopes
        return dict(zip(Level, scopes, strict=False))

    def policy(self) -> dict[str, Any]:
        """Hard budgets that are not paced, so that nothing but the limits holds the demand back."""
        scopes = {
            Level.ORGANIZATION: {},
            Level.PROJECT: {"project": "search"},
            Level.TEAM: {"project": "search", "team": "ranking"},
            Level.USER: {"user": "*"},
        }
        budgets = [
            {
                "name": level.value,
                "scope": scope,
                "limit_usd": format_usd(self.limits[level]),
                "window": WINDOW,
                "tiers": {"soft": 1, "throttle": 1, "hard": 1},
            }
            for level, scope in scopes.items()
        ]
        return {"organization": self.name, "budgets": budgets}

    def limit_of(self, scope: str) -> int | None:
        """The hard limit on a scope, in nano-dollars; None where there is none."""
        dimensions = parse_scope(scope)
        level = level_of(dimensions)
        if dimensions["org"] != self.name or level not in self.limits:
            return None
        return self.limits[level] if level is Level.USER or scope == self.hot[level] else None

    @property
    def spenders(self) -> list[Spender]:
        """Everybody who may be drawn."""
        teams, users = product(PROJECTS, TEAMS), range(USERS)
        return [Spender(self.name, *team, f"user-{user}") for team, user in product(teams, users)]

    def draw(self, random: Random) -> Spender:
        """Whose request is next: search, ranking and user-0 want more than their part."""
        project = random.choices(PROJECTS, (6, 4))[0]
        team = random.choice(TEAMS)
        user = "user-0" if random.random() < 0.3 else f"user-{random.randrange(1, USERS)}"
        return Spender(self.name, project, team, user)


def usd(amount: int) -> int:
    """Dollars in nano-dollars."""
    return amount * NANOS_PER_USD
