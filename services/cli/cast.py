"""Who plays a trace: a made-up company whose users, features and models a seeded rule assigns to real requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from services.cli.trace import TraceRow

ORGANIZATION = "acme"
PROVIDERS = {
    "gpt-4o": "openai",
    "gpt-4o-mini": "openai",
    "claude-sonnet-4-5": "anthropic",
    "claude-haiku-4-5": "anthropic",
}
MODELS = tuple(PROVIDERS)

USERS = (
    "ada", "alan", "amal", "barbara", "carol", "chen", "claude", "clara", "dana", "donald",
    "edsger", "elena", "emmy", "fatima", "frances", "grace", "hedy", "ida", "ivan", "jean",
    "john", "kai", "katherine", "lea", "leslie", "linus", "lise", "maria", "mei", "niklaus",
    "noor", "olga", "otto", "priya", "radia", "rosa", "sofia", "tim", "wei", "yuki",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the cast. `trace_words`: it plays the traces whose name contains one of them."""

    name: str
    teams: tuple[str, str]
    trace_words: tuple[str, ...]
    share: int
    features: tuple[tuple[str, int], ...]
    models: tuple[tuple[str, int], ...]


PROJECTS = (
    Project(
        "assistant",
        ("chat", "support"),
        ("conv",),
        80,
        (("chat", 6), ("ticket-reply", 3), ("summary", 1)),
        (("gpt-4o-mini", 45), ("gpt-4o", 30), ("claude-haiku-4-5", 20), ("claude-sonnet-4-5", 5)),
    ),
    Project(
        "copilot",
        ("editor", "review"),
        ("code",),
        80,
        (("autocomplete", 7), ("code-review", 3)),
        (("claude-sonnet-4-5", 40), ("claude-haiku-4-5", 30), ("gpt-4o", 30)),
    ),
    Project(
        "research",
        ("agents", "evals"),
        ("conv", "code"),
        20,
        (("agent-run", 5), ("evaluation", 5)),
        (("claude-sonnet-4-5", 40), ("gpt-4o", 40), ("gpt-4o-mini", 20)),
    ),
)
"""3 projects, 6 teams; their shares are of the requests in a trace that more than one of them plays."""

REPORTS_AFTERWARDS = "research"
"""The project whose gateway asks nobody and reports what was used, in batches: budgets see it, but cannot stop it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a trace with everything that its trace does not say."""

    row: TraceRow
    organization: str
    project: str
    team: str
    user: str
    feature: str
    provider: str | None
    model: str

    @property
    def name(self) -> str:
        """What tells this request from every other one of its trace."""
        return f"{self.row.trace}-{self.row.row:06d}"


def provider_of(model: str) -> str | None:
    """The provider of a model of the cast; None leaves it to the price book to tell."""
    return PROVIDERS.get(model)


def assign(
    rows: Sequence[TraceRow], *, seed: int, organization: str = ORGANIZATION, model: str | None = None
) -> list[Request]:
    """Give every row a project, team, user, feature and model (or always `model`).

    A row's part depends on the seed, the name of its trace and its number alone: the same with any other rows around.
    A project is drawn by share among those that play the trace, then one of its users by rank (weights 1, 1/2, 1/3,
    ...: few people spend the most), whose team follows; feature and model are drawn by the project's weights.
    """
    return [
        _assign(row, Random(f"{seed}/{row.trace}/{row.row}"), organization, model)  # noqa: S311  a repeatable play
        for row in rows
    ]


def users_of(project: Project) -> list[tuple[str, str]]:
    """The project's users, each with the team: user number n belongs to team n modulo 6."""
    teams = [(owner, team) for owner in PROJECTS for team in owner.teams]
    return [(user, team) for n, user in enumerate(USERS) for owner, team in [teams[n % len(teams)]] if owner is project]


def _assign(row: TraceRow, random: Random, organization: str, model: str | None) -> Request:
    playing = [project for project in PROJECTS if any(word in row.trace for word in project.trace_words)] or PROJECTS
    project = random.choices(playing, weights=[project.share for project in playing])[0]
    user, team = random.choices(_USERS[project.name], cum_weights=_RANKED[project.name])[0]
    feature = _draw(random, project.features)
    drawn = _draw(random, project.models)
    chosen = model or drawn
    return Request(row, organization, project.name, team, user, feature, provider_of(chosen), chosen)


def _draw(random: Random, weighted: Sequence[tuple[str, int]]) -> str:
    return random.choices([name for name, _ in weighted], weights=[weight for _, weight in weighted])[0]


_USERS = {project.name: users_of(project) for project in PROJECTS}
_RANKED = {name: list(accumulate(1 / rank for rank in range(1, len(users) + 1))) for name, users in _USERS.items()}
