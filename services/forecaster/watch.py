"""Watches the hourly spending of every scope, and tells what is not like its past while it is still going on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from services.adapters.clock import now_ms
from services.core.anomaly import Detector, Finding, Sensitivity, contributors
from services.core.event_id import event_id
from services.core.foresight_events import Anomaly, Contributor
from services.core.scope import parse_scope
from services.forecaster.herald import Herald
from services.forecaster.history import HOUR_MS, History, Moved
from services.forecaster.memory import Memory, Told, Watched

DAY_MS: Final = 24 * HOUR_MS
LEARN_MS: Final = 35 * DAY_MS
"""How much of the past makes a detector."""
NEWS_MS: Final = DAY_MS
"""What was found in an hour older than that while learning is no news."""
VALUES_MAX: Final = 200
CONTRIBUTORS_MAX: Final = 3
EXPLAINS: Final = 20
"""Whoever moved by less than this part of the excess explains nothing."""

Hours = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of one scope; `over`: its hour has ended, and its amounts are final."""

    scope: str
    finding: Finding
    over: bool


@dataclass(slots=True)
class Seen:
    """What came of feeding hours: what was found, and whose detectors have changed."""

    found: list[Found] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)


class Watch:
    """The detectors of all organizations. Raises `clickhouse.FAILURES`, and then has learnt nothing."""

    def __init__(
        self, history: History, herald: Herald, memory: Memory, sensitivity: Sensitivity, *, settle_ms: int
    ) -> None:
        """An hour is over `settle_ms` after its end: charges take a while to arrive."""
        self._history, self._herald, self._memory = history, herald, memory
        self._sensitivity, self._settle_ms = sensitivity, settle_ms
        self._known: dict[str, Watched] = {}

    @property
    def scopes(self) -> int:
        """How many are watched."""
        return sum(len(watched.detectors) for watched in self._known.values())

    async def look(self, organization: str, at_ms: int) -> int:
        """Feed the hours that are over, look at the one that is running, tell what is new. How much was told."""
        over_ms = (at_ms - self._settle_ms) // HOUR_MS * HOUR_MS
        watched = self._known.pop(organization, None) or await asyncio.to_thread(self._memory.recall, organization)
        learning = watched is None
        if watched is None:
            watched = await self._anew(organization, over_ms)
        hours = await self._history.hourly(organization, watched.fed_until_ms, at_ms)
        seen = await asyncio.to_thread(feed, watched, hours, over_ms, self._sensitivity)
        news = [found for found in seen.found if is_news(watched, found, over_ms if learning else None)]
        for found in news:
            await self._tell(organization, watched, found)
        _forget(watched, over_ms - LEARN_MS)
        if seen.changed or news or learning:
            await asyncio.to_thread(self._memory.keep, organization, watched, seen.changed)
        self._known[organization] = watched
        return len(news)

    async def _anew(self, organization: str, over_ms: int) -> Watched:
        """Nothing learnt yet; but what was told before, by a forecaster whose memory is lost, stays told."""
        since_ms = over_ms - LEARN_MS
        told = await self._history.told(organization, since_ms)
        return Watched(since_ms, told={(of, begins): Told(name, begins, hour) for of, begins, hour, name in told})

    async def _tell(self, organization: str, watched: Watched, found: Found) -> None:
        scope, finding = found.scope, found.finding
        known = watched.known(scope, finding.begin_ms, finding.hour_ms)
        begins_ms = finding.begin_ms if known is None else known.begins_ms
        name = event_id(scope, after=f"@{begins_ms}") if known is None else known.anomaly
        dimensions = parse_scope(scope)
        moved = await self._history.moved(dimensions, begins_ms, finding.hour_ms + HOUR_MS, most=VALUES_MAX)
        anomaly = Anomaly(
            anomaly=name,
            organization=organization,
            scope=scope,
            kind=finding.kind,
            severity=severity(finding, self._sensitivity.effect_nanousd),
            begins_ms=begins_ms,
            hour_ms=finding.hour_ms,
            observed_nanousd=finding.observed_nanousd,
            expected_nanousd=finding.expected_nanousd,
            score=min(1e9, round(finding.score, 3)),
            contributors=explain(moved, finding.excess_nanousd, fixed=dimensions),
            found_at_ms=now_ms(),
            ledger_partition=self._herald.partition_of(organization),
        )
        again = event_id(scope, after=f"@{begins_ms}/{finding.hour_ms}")
        await self._herald.tell_anomaly(name if known is None else again, anomaly)
        watched.told[scope, finding.begin_ms] = Told(name, begins_ms, finding.hour_ms)


def feed(watched: Watched, hours: Hours, over_ms: int, sensitivity: Sensitivity) -> Seen:
    """Feed detectors with the hours that are over; copies of them look at those that are not. Changes `watched`."""
    seen = Seen()
    for scope, amounts in hours.items():
        detector = watched.detectors.get(scope) or Detector(sensitivity)
        closed = [(hour, nanousd) for hour, nanousd in amounts if watched.fed_until_ms <= hour < over_ms]
        for hour, nanousd in closed:
            finding = detector.update(hour, nanousd)
            if finding is not None:
                seen.found.append(Found(scope, finding, over=True))
        if closed:
            watched.detectors[scope] = detector
            seen.changed.add(scope)
        running = [(hour, nanousd) for hour, nanousd in amounts if hour >= over_ms]
        seen.found += _ahead(scope, detector, running, sensitivity)
    watched.fed_until_ms = max(watched.fed_until_ms, over_ms)
    return seen


def is_news(watched: Watched, found: Found, learnt_until_ms: int | None) -> bool:
    """Whether a finding is to be told: it never was, it has become worse, or its hour has ended since.

    `learnt_until_ms`: it was found while learning from the past up to there, most of which is old, or told already.
    """
    known = watched.known(found.scope, found.finding.begin_ms, found.finding.hour_ms)
    if learnt_until_ms is not None and found.finding.hour_ms < learnt_until_ms - NEWS_MS:
        return False
    if known is None:
        return True
    again = found.finding.hour_ms == known.hour_ms
    return found.finding.hour_ms > known.hour_ms or (again and found.over and learnt_until_ms is None)


def severity(finding: Finding, effect_nanousd: int) -> Literal["warning", "critical"]:
    """Critical: several times the usual, and ten times what is worth telling at all."""
    large = finding.excess_nanousd >= 10 * effect_nanousd
    return "critical" if large and finding.observed_nanousd >= 4 * finding.expected_nanousd else "warning"


def explain(moved: Iterable[Moved], excess_nanousd: int, *, fixed: Mapping[str, str]) -> list[Contributor]:
    """Who made it so, of each dimension that the scope leaves open; the largest move first."""
    before: dict[str, dict[str, int]] = {}
    now: dict[str, dict[str, int]] = {}
    for each in moved:
        if each.dimension not in fixed:
            before.setdefault(each.dimension, {})[each.value] = each.usual_nanousd
            now.setdefault(each.dimension, {})[each.value] = each.observed_nanousd
    found = [
        (dimension, one)
        for dimension in now
        for one in contributors(before[dimension], now[dimension], most=CONTRIBUTORS_MAX)
        if one.moved_nanousd * EXPLAINS >= excess_nanousd
    ]
    found.sort(key=lambda pair: -pair[1].moved_nanousd)
    return [
        Contributor(
            dimension=dimension,
            value=one.key,
            observed_nanousd=one.now_nanousd,
            expected_nanousd=one.before_nanousd,
        )
        for dimension, one in found
    ]


def _ahead(
    scope: str, detector: Detector, running: Sequence[tuple[int, int]], sensitivity: Sensitivity
) -> Iterable[Found]:
    """What hours that are not over show already: spending only grows until they are."""
    if not any(nanousd >= sensitivity.effect_nanousd for _, nanousd in running):
        return
    copy = Detector.load(detector.dump())
    for hour, nanousd in running:
        finding = copy.update(hour, nanousd)
        if finding is not None:
            yield Found(scope, finding, over=False)


def _forget(watched: Watched, before_ms: int) -> None:
    for key in [key for key, told in watched.told.items() if told.hour_ms < before_ms]:
        del watched.told[key]
