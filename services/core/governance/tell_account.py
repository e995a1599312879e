"""The accountability report as a document: budgets with their owners, and who bears what."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from services.core.events import from_ms
from services.core.governance.accountability import Account, Charged
from services.core.governance.cells import BudgetUse
from services.core.governance.document import Document, Fact, Section, Table, Text, cells, columns
from services.core.governance.shares import share_bp
from services.core.governance.tell_budgets import utilization
from services.core.governance.words import counted, dollars, exact, named, percent, scope_words, window_words


def tell_account(account: Account) -> Document:
    """The account as people read it; sums of charge-back are exact, to the nano-dollar."""
    zone = ZoneInfo(account.zone)
    first, last = from_ms(account.begin_ms).astimezone(zone), from_ms(account.end_ms - 1).astimezone(zone)
    so_far = ", so far" if account.partial else ""
    return Document(
        title="Accountability",
        organization=account.organization,
        subtitle=f"{account.period}, {first:%-d %B} to {last:%-d %B %Y}, {account.zone}{so_far}",
        facts=tuple(_facts(account)),
        sections=(_budgets(account), _showback(account)),
        notes=tuple(_notes(account)),
    )


def _facts(account: Account) -> Iterator[Fact]:
    spent = dollars(account.total_nanousd, unpriced=account.unpriced)
    yield Fact("Spent", spent, counted(account.requests, "request"))
    direct = account.total_nanousd - account.shared_nanousd
    points = percent(share_bp(direct, account.total_nanousd))
    yield Fact("Owned by a team", dollars(direct), f"{points}; the rest is shared out below")
    over = sum(use.utilization_bp >= 10_000 for use in account.uses)
    yield Fact(
        "Budgets used up", f"{over}", f"of {len({use.budget for use in account.uses})}", "bad" if over else "good"
    )
    lonely = len({use.budget for use in account.uses if not use.owners})
    yield Fact("Budgets without an owner", f"{lonely}", "no contact in the policy", "warn" if lonely else "good")


def _budgets(account: Account) -> Section:
    rows = tuple(cells(*_budget(use)) for use in account.uses)
    table = Table(columns("budget", "scope", "owner", "window", ">limit", ">spent", ">used", ">over"), rows)
    says = (
        "Owners are the contacts that the policy names.",
        "Of budgets by hour, day or week, the fullest window is shown, and how many reached the limit.",
    )
    return Section("Budgets and who answers for them", says, table, empty="The policy has no budgets.")


def _budget(use: BudgetUse) -> tuple[str | Text, ...]:
    limit = dollars(use.limit_nanousd) + (" *" if use.varies else "")
    scope = scope_words(use.scope) + (f" (and {use.others:,} more)" if use.others else "")
    owner: str | Text = ", ".join(use.owners) if use.owners else Text("nobody", "warn")
    over: str | Text = Text(f"{use.windows_over} of {use.windows}", "bad") if use.windows_over else "-"
    spent = dollars(use.spent_nanousd, unpriced=use.unpriced)
    name = use.budget if use.blocks else f"{use.budget} (only watches)"
    return name, scope, owner, window_words(use.window), limit, spent, utilization(use), over


def _showback(account: Account) -> Section:
    rows = tuple(cells(*_line(line, account.total_nanousd)) for line in account.charged)
    sums = [
        sum(line.direct_nanousd for line in account.charged),
        sum(line.project_nanousd for line in account.charged),
        sum(line.organization_nanousd for line in account.charged),
        sum(line.total_nanousd for line in account.charged),
    ]
    total = cells("total", "", *(exact(amount) for amount in sums), "")
    table = Table(
        columns("project", "team", ">own $", ">project's $", ">common $", ">to charge $", ">share"), rows, total
    )
    says = (
        "A project's spending without a team is shared by its teams, and what has no project by everybody:",
        "in proportion to what each spent itself. The parts add up to the total, to the last digit.",
    )
    return Section("Show-back and charge-back", says, table, empty="Nothing was charged in this period.")


def _line(line: Charged, total_nanousd: int) -> tuple[str | Text, ...]:
    points = share_bp(line.total_nanousd, total_nanousd)
    amounts = (line.direct_nanousd, line.project_nanousd, line.organization_nanousd, line.total_nanousd)
    names = named(line.project, "project"), named(line.team, "team")
    return *names, *(exact(amount) for amount in amounts), Text(percent(points), "", points)


def _notes(account: Account) -> Iterator[str]:
    if account.unpriced > 0:
        yield f"{counted(account.unpriced, 'request')} unpriced: their cost is missing in every sum, marked by ≥."
    if any(use.varies for use in account.uses):
        yield "* the limit follows a schedule; the written one is shown."
    if account.not_summed:
        yield f"Budgets by minute are not added up afterwards: {', '.join(account.not_summed)}."
