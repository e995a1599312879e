"""Accountability: who answers for each budget, and who bears which part of everything that was spent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.core.governance.cells import BudgetUse
from services.core.governance.shares import apportion

UNASSIGNED: Final = ("", "")
"""Who bears what nobody can be charged for: neither a project nor a team is known, of anything."""


@dataclass(frozen=True, slots=True)
class Charged:
    """What one team bears: its own spending, and its shares of its project's and of the organization's common spending.

    A project that has no teams bears its spending itself (`team` empty); an organization without projects too.
    """

    project: str
    team: str
    direct_nanousd: int
    project_nanousd: int = 0
    organization_nanousd: int = 0

    @property
    def total_nanousd(self) -> int:
        """Everything it bears."""
        return self.direct_nanousd + self.project_nanousd + self.organization_nanousd


@dataclass(frozen=True, slots=True)
class Account:
    """A period's accountability. The lines of `charged` add up to `total_nanousd`, to the nano-dollar."""

    organization: str
    period: str
    zone: str
    begin_ms: int
    end_ms: int
    partial: bool
    total_nanousd: int
    requests: int
    unpriced: int
    shared_nanousd: int
    charged: tuple[Charged, ...]
    uses: tuple[BudgetUse, ...]
    not_summed: tuple[str, ...] = ()


def chargeback(direct_nanousd: Mapping[tuple[str, str], int]) -> tuple[Charged, ...]:
    """Who bears what, given the spending of each project and team (empty: none), largest first.

    What a project spent without a team is spread over its teams, and what has no project over everybody: in proportion
    to what each spent itself, by largest remainder, so that not a nano-dollar is lost. Nobody is paid for spending
    less than nothing (corrections alone): a negative sum takes no share.
    """
    projects: defaultdict[str, list[Charged]] = defaultdict(list)
    for (project, team), amount in sorted(direct_nanousd.items()):
        if team:
            projects[project].append(Charged(project, team, amount))
    common = direct_nanousd.get(UNASSIGNED, 0)
    for (project, team), amount in sorted(direct_nanousd.items()):
        if project and not team:
            projects[project] = _spread_in_project(project, projects[project], amount)
    lines = [line for found in projects.values() for line in found]
    if not lines:
        return (Charged(*UNASSIGNED, common),) if common else ()
    parts = apportion(common, [line.total_nanousd for line in lines])
    charged = [replace(line, organization_nanousd=part) for line, part in zip(lines, parts, strict=True)]
    return tuple(sorted(charged, key=lambda line: (-line.total_nanousd, line.project, line.team)))


def _spread_in_project(project: str, teams: Sequence[Charged], amount: int) -> list[Charged]:
    if not teams:
        return [Charged(project, "", amount)]
    parts = apportion(amount, [line.direct_nanousd for line in teams])
    return [replace(line, project_nanousd=part) for line, part in zip(teams, parts, strict=True)]
