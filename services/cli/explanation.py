"""A decision laid out for a person: the request, the whole chain of budgets, why, what would help, what was known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.render import bar, percent, short_scope, table
from services.core.decide import Action
from services.core.decision import BudgetLine, Decision
from services.core.scope import scope_key

WIDE = 120
BINDING = "▶"
FULL_BP = 10_000
TITLES = {
    "full": "budgets, before this request",
    "brief": "the budget that binds, before this request; the others were not asked for",
}
VERDICTS = {
    Action.ALLOW: ("allowed", "bold green"),
    Action.FALLBACK: ("allowed on another model", "bold yellow"),
    Action.THROTTLE: ("throttled", "bold yellow"),
    Action.DENY: ("denied", "bold red"),
}
TIER_STYLES = {"normal": "green", "soft": "yellow", "throttle": "yellow", "grace": "magenta", "hard": "bold red"}


class Explanation:
    """A renderable; `found_in` says where the decision was kept."""

    def __init__(self, decision: Decision, found_in: str) -> None:
        self._decision, self._found_in = decision, found_in

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        decision, wide = self._decision, options.max_width >= WIDE
        yield _headline(decision)
        yield Padding(_facts([("asked for", _request(decision)), *_money(decision)]), (0, 0, 1, 0))
        if decision.budgets:
            yield _budgets(TITLES[decision.detail], decision.budgets, wide=wide)
        for attempt in decision.tried:
            verdict, _ = VERDICTS[attempt.action]
            cost = "an unknown price" if attempt.estimate_usd is None else f"at most ${attempt.estimate_usd}"
            title = f"{attempt.model}: {verdict}, {_words(attempt.reason)}; it may cost {cost}"
            yield _budgets(title, attempt.budgets, wide=wide)
        yield from _listed("warnings", decision.warnings)
        yield from _listed("what would help", decision.remedies)
        yield _facts([*_knowledge(decision), ("found in", self._found_in)])


def _headline(decision: Decision) -> RenderableType:
    verdict, style = VERDICTS[decision.action]
    reason = decision.message or "every budget of the request has room"
    rehearsed = "  (a dry run: nothing was reserved)" if decision.dry_run else ""
    first = Text.assemble((verdict, style), f"  {_words(decision.reason)}", (rehearsed, "dim"))
    return Group(first, Padding(Text(reason), (0, 0, 1, 2)))


def _request(decision: Decision) -> str:
    asked = decision.requested_model or decision.model
    given = f", given {decision.model}" if decision.requested_model else ""
    provider = f" of {decision.provider}" if decision.provider else ""
    whose = [f"{name} {value}" for name, value in _owners(decision) if value]
    tags = [f"tag {key} {value}" for key, value in decision.tags.items()]
    return f"{asked}{given}{provider}, by {', '.join([*whose, *tags])}; priority {decision.priority}"


def _owners(decision: Decision) -> Iterable[tuple[str, str | None]]:
    yield "organization", decision.organization
    yield "project", decision.project
    yield "team", decision.team
    yield "user", decision.user


def _money(decision: Decision) -> Iterator[tuple[str, str]]:
    bounded = "" if decision.estimated_from == "tokens" else f" (bounded from its {decision.estimated_from})"
    yield "size", f"{decision.input_tokens:,} tokens in{bounded}, at most {decision.max_output_tokens:,} out"
    yield "may cost", "nobody knows: the model has no price" if decision.estimate_usd is None else _usd(decision)
    hold = decision.reservation
    if hold is not None:
        yield "reserved", f"as {hold.id}, until {hold.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if decision.retry_after_ms is not None:
        yield "try again", f"in {decision.retry_after_ms:,} ms"


def _usd(decision: Decision) -> str:
    return f"at most ${decision.estimate_usd}, by {decision.price_version}"


def _knowledge(decision: Decision) -> Iterator[tuple[str, str]]:
    """What the enforcer went by; with it, the decision can be derived again."""
    yield "decision", f"{decision.decision}, {decision.decided_at:%Y-%m-%d %H:%M:%S.%f} UTC"
    policy = f"policy version {decision.policy_version}" if decision.policy_version else "no policy"
    known = "nothing of the ledger" if decision.ledger.offset < 0 else _position(decision)
    alive = "" if decision.enforcers == 1 else f", {decision.enforcers} enforcers alive"
    yield "went by", f"{policy}, prices {decision.price_version}, {known}{alive}"
    if decision.ledger.offset >= 0:
        scope, place = scope_key({"org": decision.organization}), decision.ledger
        yield "more of then", f"spendgate status {scope} --at {place.partition}:{place.offset}"
    if decision.lease_over:
        yield "lease", "over: it had not heard of the ledger for too long to spend its shares"


def _position(decision: Decision) -> str:
    stale = "" if decision.stale_ms is None else f", at most {decision.stale_ms:,} ms old"
    return f"the ledger up to {decision.ledger.partition}:{decision.ledger.offset}{stale}"


def _budgets(title: str, lines: Sequence[BudgetLine], *, wide: bool) -> Table:
    """The chain; the binding budget is marked. Amounts are exact. What is narrow leaves out what can be worked out."""
    shares = wide and any(line.share_usd is not None for line in lines)
    made = table(title, _columns(wide=wide, shares=shares), caption="\n".join(_footnotes(lines)))
    made.collapse_padding = True
    for line in lines:
        used = FULL_BP if line.utilization is None else round(line.utilization * FULL_BP)
        tier = Text(line.tier, style=TIER_STYLES.get(line.tier, ""))
        limit, remaining = _dollars(line.limit_usd), _dollars(line.remaining_usd)
        name = f"{BINDING if line.binding else ' '} {line.budget}"
        if wide:
            spent = (_dollars(line.settled_usd), _dollars(line.reserved_usd))
            share = (_dollars(line.share_usd),) if shares else ()
            place = (name, short_scope(line.scope), line.window)
            made.add_row(*place, limit, *spent, remaining, *share, bar(used), percent(used), tier)
        else:
            made.add_row(name, line.window, limit, remaining, percent(used), tier)
    return made


def _columns(*, wide: bool, shares: bool) -> list[str]:
    if not wide:
        return ["  budget", "window", ">limit", ">remaining", ">used", "tier"]
    own = [">own share"] if shares else []
    place, amounts = ("  budget", "scope", "window"), (">limit", ">settled", ">reserved", ">remaining")
    return [*place, *amounts, *own, "", ">used", "tier"]


def _footnotes(lines: Iterable[BudgetLine]) -> Iterator[str]:
    """What is special about a budget; each one once."""
    yield f"{BINDING} decided, or would be the next to; used and tier include this request"
    for line in lines:
        if line.binding and line.window_ends_at is not None:
            yield f"{line.budget}: its window ends at {line.window_ends_at:%Y-%m-%d %H:%M:%S} UTC"
        if line.on_hard == "monitor":
            yield f"{line.budget} only monitors: beyond its limit, requests are allowed with a warning"
        if line.refused:
            yield f"{line.budget}: the ledger has no more room for this enforcer; others may hold what is left"
        if line.grace_from is not None:
            room = ", and has no room left" if line.grace_refused else ""
            yield f"{line.budget}: grace was opened at {line.grace_from:%Y-%m-%d %H:%M:%S} UTC{room}"
        if line.paced_until is not None:
            yield f"{line.budget}: paced, all spending has been earned by {line.paced_until:%Y-%m-%d %H:%M:%S} UTC"


def _listed(title: str, sentences: Sequence[str]) -> Iterator[RenderableType]:
    if sentences:
        lines = "\n".join(f"• {sentence}" for sentence in sentences)
        yield Padding(Group(Text(title, style="bold"), Text(lines)), (0, 0, 1, 0))


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True, style="dim")
    made.add_column(overflow="fold")
    for name, value in facts:
        made.add_row(name, Text(value))
    return made


def _words(name: str) -> str:
    return name.replace("_", " ")


def _dollars(text: str | None) -> str:
    """Every digit: amounts that decided are not rounded."""
    if text is None:
        return ""
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"
