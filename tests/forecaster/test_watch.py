"""What the watch learns, tells and remembers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from services.core.anomaly import DEFAULT, Detector, Finding
from services.forecaster.history import HOUR_MS, Moved
from services.forecaster.memory import Memory, MemoryFileError, Told, Watched
from services.forecaster.watch import Found, explain, feed, is_news, severity

USD = 1_000_000_000
START_MS = 1_790_000_000_000 // HOUR_MS * HOUR_MS
SCOPE = "org:acme/project:search"


def steady(hours: int, first_ms: int = START_MS) -> list[tuple[int, int]]:
    return [(first_ms + n * HOUR_MS, USD * (2 if n % 24 > 12 else 1)) for n in range(hours)]


def test_hours_that_are_over_teach_and_the_running_one_does_not() -> None:
    over_ms = START_MS + 840 * HOUR_MS
    watched = Watched(START_MS)
    hours = [*steady(840), (over_ms, 90 * USD)]
    seen = feed(watched, {SCOPE: hours}, over_ms, DEFAULT)
    assert [(found.finding.hour_ms, found.over) for found in seen.found] == [(over_ms, False)]
    assert watched.fed_until_ms == over_ms
    before = watched.detectors[SCOPE].dump()
    again = feed(watched, {SCOPE: [(over_ms, 90 * USD)]}, over_ms, DEFAULT)
    assert (again.changed, watched.detectors[SCOPE].dump()) == (set(), before)
    closed = feed(watched, {SCOPE: [(over_ms, 95 * USD)]}, over_ms + HOUR_MS, DEFAULT)
    assert [(found.finding.observed_nanousd, found.over) for found in closed.found] == [(95 * USD, True)]


def test_hours_fed_in_parts_teach_the_same_as_all_at_once() -> None:
    hours = steady(400)
    whole, parts = Watched(START_MS), Watched(START_MS)
    feed(whole, {SCOPE: hours}, START_MS + 400 * HOUR_MS, DEFAULT)
    for end in (100, 101, 250, 400):
        feed(parts, {SCOPE: hours[:end]}, START_MS + end * HOUR_MS, DEFAULT)
    assert whole.detectors[SCOPE].dump() == parts.detectors[SCOPE].dump()


def finding(begin: int, hour: int, observed: int = 90 * USD) -> Finding:
    return Finding(START_MS + begin * HOUR_MS, START_MS + hour * HOUR_MS, observed, 10 * USD, 2.0, "spike")


@pytest.mark.parametrize(
    ("told_hour", "begin", "hour", "over", "news"),
    [
        (None, 5, 5, False, True),
        (5, 5, 5, False, False),
        (5, 5, 5, True, True),  # the hour is over: its amounts are final
        (5, 5, 9, True, True),  # worse
        (5, 5, 4, True, False),
        (5, 3, 5, False, False),  # the same hour shows it, as an episode that began earlier
    ],
)
def test_news_is_what_was_not_told_or_has_become_worse(
    told_hour: int | None, begin: int, hour: int, over: bool, news: bool
) -> None:
    watched = Watched(START_MS)
    if told_hour is not None:
        at_ms = START_MS + told_hour * HOUR_MS
        watched.told[SCOPE, START_MS + 5 * HOUR_MS] = Told("name", START_MS + 5 * HOUR_MS, at_ms)
    assert is_news(watched, Found(SCOPE, finding(begin, hour), over), None) is news
    if told_hour is None:
        assert not is_news(watched, Found(SCOPE, finding(begin, hour), over), START_MS + 48 * HOUR_MS)


def test_only_large_and_many_times_the_usual_is_critical() -> None:
    assert severity(finding(0, 0), USD) == "critical"
    assert severity(finding(0, 0, 39 * USD), USD) == "warning"
    assert severity(finding(0, 0), 9 * USD) == "warning"


def test_contributors_are_those_who_moved_of_what_the_scope_leaves_open() -> None:
    moved = [
        Moved("user", "batch-7", 80 * USD, 0),
        Moved("user", "alice", 3 * USD, 2 * USD),
        Moved("user", "bob", USD, 5 * USD),
        Moved("model", "gpt-4o", 84 * USD, 7 * USD),
        Moved("tag.feature", "reindex", 80 * USD, 0),
    ]
    told = explain(moved, 77 * USD, fixed={"org": "acme", "project": "search"})
    assert [(each.dimension, each.value) for each in told] == [
        ("user", "batch-7"),
        ("tag.feature", "reindex"),
        ("model", "gpt-4o"),
    ]
    assert [each.dimension for each in explain(moved, 77 * USD, fixed={"org": "a", "user": "batch-7"})] == [
        "tag.feature",
        "model",
    ]


def test_what_was_learnt_and_told_is_remembered(tmp_path: Path) -> None:
    watched = Watched(START_MS)
    feed(watched, {SCOPE: steady(200)}, START_MS + 200 * HOUR_MS, DEFAULT)
    watched.told[SCOPE, 7] = Told("name", 7, 9)
    memory = Memory.open(tmp_path / "m.sqlite", settings="a")
    assert memory.recall("acme") is None
    memory.keep("acme", watched, [SCOPE])
    memory.close()

    memory = Memory.open(tmp_path / "m.sqlite", settings="a")
    recalled = memory.recall("acme")
    assert recalled is not None
    assert recalled.detectors[SCOPE].dump() == watched.detectors[SCOPE].dump()
    assert (recalled.fed_until_ms, recalled.told) == (watched.fed_until_ms, watched.told)
    assert memory.recall("globex") is None
    memory.close()

    memory = Memory.open(tmp_path / "m.sqlite", settings="other")
    assert memory.recall("acme") is None
    memory.close()


def test_states_that_cannot_be_read_are_learnt_again(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "m.sqlite", settings="a")
    memory.keep("acme", Watched(5, {SCOPE: Detector()}), [SCOPE])
    memory.close()
    with sqlite3.connect(tmp_path / "m.sqlite") as db:
        db.execute("UPDATE detector SET state = x'00'")
    db.close()
    memory = Memory.open(tmp_path / "m.sqlite", settings="a")
    assert memory.recall("acme") is None
    memory.close()


def test_a_memory_belongs_to_one_process(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "m.sqlite", settings="a")
    with pytest.raises(MemoryFileError, match="another forecaster using the same SPENDGATE_DATA_DIR"):
        Memory.open(tmp_path / "m.sqlite", settings="a")
    memory.close()
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(MemoryFileError, match="a broken file may be deleted"):
        Memory.open(tmp_path / "broken.sqlite", settings="a")
