"""A notice in words: what happened, what it means by the end of the window, whose it is, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.core.foresight_events import Forecast
from services.core.money import NANOS_PER_USD, format_usd, parse_usd, round_half_even
from services.core.notifying.notice import Notice
from services.core.scope import parse_scope

CONTRIBUTORS_SHOWN: Final = 3
SUBJECT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Told:
    """A notice as people read it. `outlook`, `owner` empty: nobody knows."""

    headline: str
    facts: tuple[str, ...]
    outlook: str
    owner: str
    advice: tuple[str, ...]


def tell(notice: Notice, *, forecast: Forecast | None = None, owners: Sequence[str] = ()) -> Told:
    """The words. `forecast` is the latest of the notice's scope and window, `owners` who answers for its budget."""
    headline, facts = _WHAT.get(notice.kind, _other)(notice)
    return Told(
        headline=headline[:SUBJECT_CHARACTERS],
        facts=tuple(facts),
        outlook="" if forecast is None else _outlook(notice, forecast),
        owner=", ".join(owners),
        advice=tuple(_advice(notice)),
    )


def dollars(nanousd: int) -> str:
    """For the eye: cents from a dollar on, every digit below."""
    if abs(nanousd) < NANOS_PER_USD:
        return f"${format_usd(nanousd)}"
    cents = round_half_even(nanousd, NANOS_PER_USD // 100)
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def _threshold(notice: Notice) -> tuple[str, list[str]]:
    facts = notice.facts
    reached = f"{_percent(facts['threshold'])} of {_usd(facts['limit_usd'])}"
    return (
        f"{notice.organization}: {facts['budget']} has reached {reached}",
        [f"Settled: {_usd(facts['settled_usd'])} in {facts['window']}", f"Scope: {facts['scope']}"],
    )


def _projection(notice: Notice) -> tuple[str, list[str]]:
    facts = notice.facts
    chance = f"{round(100 * facts['probability'])}%" if facts.get("probability") is not None else "unknown"
    when = f" on {facts['expected_on']}" if facts.get("expected_on") else ""
    lines = [f"Settled so far: {_usd(facts['settled_usd'])} in {facts['window']}", f"Probability: {chance}"]
    if facts.get("projected_usd"):
        lines.append(f"Expected total: {_usd(facts['projected_usd'])}")
    return (
        f"{notice.organization}: {facts['budget']} is expected to exceed {_usd(facts['limit_usd'])}{when}",
        [*lines, f"Scope: {facts['scope']}"],
    )


def _unpriced(notice: Notice) -> tuple[str, list[str]]:
    model = parse_scope(notice.scope).get("model", notice.scope)
    return (
        f"{notice.organization}: nobody knows what {model} costs, and it is used",
        [f"Day: {notice.facts['window']}", "Its requests are counted without a cost, beside every sum"],
    )


def _anomaly(notice: Notice) -> tuple[str, list[str]]:
    facts = notice.facts
    observed, expected = dollars(facts["observed_nanousd"]), dollars(facts["expected_nanousd"])
    lines = [f"Kind: {facts['kind']}"]
    for each in facts.get("contributors", ())[:CONTRIBUTORS_SHOWN]:
        moved = f"{dollars(each['observed_nanousd'])} instead of {dollars(each['expected_nanousd'])}"
        lines.append(f"{each['dimension']} {each['value']}: {moved}")
    return f"{notice.organization}: {facts['scope']} spent {observed} in an hour instead of {expected}", lines


def _other(notice: Notice) -> tuple[str, list[str]]:
    facts = notice.facts
    said = facts.get("says") or f"{notice.kind} {notice.scope}"
    return f"{notice.organization}: {said}", [str(line) for line in facts.get("lines", ())] or [
        f"Scope: {notice.scope}"
    ]


_WHAT: Final = {"threshold": _threshold, "projection": _projection, "unpriced": _unpriced, "anomaly": _anomaly}


def _outlook(notice: Notice, forecast: Forecast) -> str:
    interval = f"{dollars(forecast.low_nanousd)} to {dollars(forecast.high_nanousd)}"
    text = f"By the end of {forecast.window}: about {dollars(forecast.total_nanousd)} ({interval} in 8 of 10 cases)"
    limit = notice.facts.get("limit_usd")
    if not isinstance(limit, str):
        return text
    beyond = forecast.total_nanousd - parse_usd(limit)
    return f"{text}, {dollars(abs(beyond))} {'above' if beyond > 0 else 'below'} the limit"


def _advice(notice: Notice) -> list[str]:
    scope, organization = notice.scope, notice.organization
    look = f"Who spends it: spendgate report --org {organization} --by user --only {_only(scope)}".removesuffix(
        " --only "
    )
    if notice.kind == "anomaly":
        return [look, "If it is meant, acknowledge this; if not, stop the key or lower its budget"]
    if notice.kind == "unpriced":
        return [
            "Let the gateway say what its requests cost (`cost_usd`)",
            "Or correct them once the invoice has come: spendgate invoice post FILE",
        ]
    if notice.kind not in ("threshold", "projection"):
        return []
    room = f"More room for a while: spendgate policy boost {notice.budget} --org {organization}"
    if notice.kind == "threshold" and notice.severity == "critical":
        return ["Requests beyond the limit are refused unless the policy gives grace or only monitors", look, room]
    return [look, room]


def _only(scope: str) -> str:
    parts = [part for part in scope.split("/") if not part.startswith("org:")]
    return " --only ".join(parts)


def _usd(text: Any) -> str:
    negative, digits = str(text).startswith("-"), str(text).removeprefix("-")
    whole, point, rest = digits.partition(".")
    return f"{'-' if negative else ''}${int(whole):,}{point}{rest}"


def _percent(threshold: str) -> str:
    """Exact: `0.75` is 75%, `0.333` is 33.3%."""
    whole, _, rest = threshold.partition(".")
    points = int(whole) * 10_000 + int(rest[:4].ljust(4, "0"))
    return f"{points // 100}%" if points % 100 == 0 else f"{points // 100}.{points % 100:02d}".rstrip("0") + "%"
