"""What the warehouse says is what the charges say, to the nano-dollar, for any question, period and zone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.adapters.clickhouse import open_async_client
from services.adapters.migrations import migrate, read_migrations
from services.adapters.settings import Settings
from services.adapters.warehouse.plan import plan, plan_over_time
from services.adapters.warehouse.warehouse import Warehouse
from services.core.attribution import (
    MEASURES,
    By,
    Dimension,
    SpendQuery,
    SpendRow,
    parse_dimension,
    parse_filters,
)
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted
from services.core.period import Period, previous, windows, zone_of
from services.core.window import WindowKind, window_at
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.sinking import DAY_MS, NOON_MS, Charges

HOUR_MS = 3_600_000
DAY = NOON_MS - NOON_MS % DAY_MS
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo")
DIMENSIONS = (
    *("project", "team", "user", "feature", "tag.cost-center", "tag.nobody:has", "model", "provider", "status"),
    *("token_class", "hour", "day", "week", "month"),
)
NASTY = "Robert'); DROP TABLE charges;--\\\t\n\"%7B{x:String}"
ONLY = (
    *("project:search", "project:", "team:ranking", "team:", "user:user-1", "user:user-2", "user:", f"user:{NASTY}"),
    *("model:gpt-4o", "provider:openai", "provider:", "status:error", "status:ok", "feature:answer", "feature:"),
    *("tag.cost-center:7", f"tag.cost-center:{NASTY}"),
)
CLASSES: Mapping[str, Callable[[Charge], tuple[int, int]]] = {
    "input": lambda c: (c.input_cost_nanousd, c.input_tokens - c.cache_read_tokens - c.cache_write_tokens),
    "cache_read": lambda c: (c.cache_read_cost_nanousd, c.cache_read_tokens),
    "cache_write": lambda c: (c.cache_write_cost_nanousd, c.cache_write_tokens),
    "output": lambda c: (c.output_cost_nanousd, c.output_tokens),
}


def value_of(charge: Charge, dimension: Dimension) -> str:
    """What the charge has of a dimension."""
    if dimension.by is By.TAG:
        return charge.tags.get(dimension.tag, "")
    return getattr(charge, str(dimension.by)) or ""


def key_of(charge: Charge, query: SpendQuery) -> tuple[str, str]:
    """The row, as its parent and its name, that the charge belongs to."""
    if (kind := query.by.over_time) is not None:
        return "", window_at(kind, charge.charged_at_ms, query.period.zone).label.partition(":")[2]
    return charge.project or "" if query.by.by is By.TEAM else "", value_of(charge, query.by)


def chosen(charges: Iterable[Charge], query: SpendQuery, period: Period) -> list[Charge]:
    """The charges that a question is about."""
    return [
        charge
        for charge in charges
        if charge.organization == query.organization
        and period.start_ms <= charge.charged_at_ms < period.end_ms
        and all(value_of(charge, each.dimension) in each.values for each in query.filters)
    ]


def added(charges: Iterable[Charge]) -> dict[str, int]:
    """The sums of a row."""
    sums = dict.fromkeys(MEASURES, 0)
    for charge in charges:
        for name in MEASURES:
            sums[name] += 0 if name == "errors" else getattr(charge, name) or 0
        sums["errors"] += 0 if charge.status == "ok" else charge.requests
    return sums


def expected(charges: Sequence[Charge], query: SpendQuery) -> dict[tuple[str, str], dict[str, int]]:
    """The same rows, added up here, by parent and name."""
    groups = defaultdict[tuple[str, str], list[Charge]](list)
    for charge in chosen(charges, query, query.period):
        groups[key_of(charge, query)].append(charge)
    return {key: added(group) for key, group in groups.items()}


def sums_of(row: SpendRow) -> dict[str, int]:
    """The measures of a row."""
    return {name: getattr(row, name) for name in MEASURES}


@pytest.fixture(scope="module")
def charges() -> list[Charge]:
    """Charges of two organizations over three weeks, some exactly where days of some zone begin and end."""
    random = Random(1)
    made = Charges(random)
    found = [made.charge(number % 2, number // 2 + 1) for number in range(4_000)]
    edges = [window.start_ms for zone in ZONES for window in windows(around(zone), WindowKind.DAY)]
    for at_ms in (at_ms for edge in edges for at_ms in (edge - 1, edge)):
        found.append(msgspec.structs.replace(made.charge(0, 10_000 + len(found)), charged_at_ms=at_ms))
    nasty = [made.charge(0, 20_000 + number) for number in range(40)]
    found += [msgspec.structs.replace(charge, user=NASTY, tags={"cost-center": NASTY}) for charge in nasty]
    return [richer(charge, random) for charge in found]


def richer(charge: Charge, random: Random) -> Charge:
    """The charge with a provider or none, costs by class that may not add up to its cost, and estimates."""
    cost = charge.cost_nanousd or 0
    share = random.randrange(4)
    return msgspec.structs.replace(
        charge,
        provider=random.choice(["openai", "azure", None]),
        cache_write_tokens=random.randrange(60),
        reasoning_tokens=random.randrange(200),
        input_cost_nanousd=cost * share // 5,
        cache_read_cost_nanousd=cost // 11 * bool(share),
        cache_write_cost_nanousd=cost // 13 * bool(share),
        output_cost_nanousd=cost // 7 * bool(share),
        unconfirmed_nanousd=random.choice([0, 0, 0, cost, -cost]),
    )


def around(zone: str) -> Period:
    """All days that the charges are of, as a period."""
    return Period(DAY - 12 * DAY_MS, DAY + 12 * DAY_MS, zone_of(zone))


async def store(address: str, charges: Sequence[Charge]) -> None:
    """Insert charges as the sink does."""
    posted = [ChargePosted(id=c.charge, source="s", time=from_ms(c.charged_at_ms), data=c) for c in charges]
    into = Store(partial(open_async_client, address))
    block = CHARGES.block(0, [(0, msgspec.json.encode(posted))]).rows
    await into.insert("charges", block, Range("charges", 0, 0, 0))
    await into.close()


@pytest.fixture
async def warehouse(clickhouse: str, charges: list[Charge]) -> AsyncIterator[Warehouse]:
    """A warehouse that holds the charges."""
    migrate(clickhouse, read_migrations(MIGRATIONS))
    await store(clickhouse, charges)
    async with await Warehouse.open(Settings(clickhouse=clickhouse)) as opened:
        yield opened


def questions() -> st.SearchStrategy[SpendQuery]:
    """Anything that may be asked."""
    start = st.one_of(
        st.integers(-12 * 24, 12 * 24).map(lambda hour: DAY + hour * HOUR_MS),
        st.integers(DAY - 12 * DAY_MS, DAY + 12 * DAY_MS),
    )
    length = st.one_of(
        st.integers(1, 20).map(lambda days: days * DAY_MS),
        st.integers(1, 60).map(lambda hours: hours * HOUR_MS),
        st.integers(1, 9 * DAY_MS),
    )

    def asked(
        start_ms: int, length_ms: int, zone: str, by: str, only: list[str], top: int, compare: bool
    ) -> SpendQuery:
        period = Period(start_ms, start_ms + length_ms, zone_of(zone))
        filters = parse_filters(only)
        return SpendQuery("org-0", parse_dimension(by), period, filters, top, previous(period) if compare else None)

    return st.builds(
        asked,
        start,
        length,
        st.sampled_from(ZONES),
        st.sampled_from(DIMENSIONS),
        st.lists(st.sampled_from(ONLY), max_size=3),
        st.sampled_from([1, 3, 10_000]),
        st.booleans(),
    )


async def check(warehouse: Warehouse, charges: Sequence[Charge], query: SpendQuery) -> None:
    """Ask, and compare every figure of the answer."""
    found = await warehouse.spend(query)
    everything = added(chosen(charges, query, query.period))
    assert sums_of(found.total) == everything
    if query.compare is not None:
        old = added(chosen(charges, query, query.compare))
        assert found.total.previous_nanousd == old["cost_nanousd"]
    if query.by.by is By.TOKEN_CLASS:
        check_classes(found.rows, chosen(charges, query, query.period))
        return
    wanted = expected(charges, query)
    if query.by.over_time is not None:
        named = [row for row in found.rows if sums_of(row) != dict.fromkeys(MEASURES, 0)]
        assert {("", row.name): sums_of(row) for row in named} == {k: v for k, v in wanted.items() if any(v.values())}
        assert [row.start_ms for row in named] == sorted(row.start_ms or 0 for row in named)
        return
    check_names(found.rows, found.rest, wanted, query, charges)


def check_names(
    rows: Sequence[SpendRow],
    rest: SpendRow | None,
    wanted: dict[tuple[str, str], dict[str, int]],
    query: SpendQuery,
    charges: Sequence[Charge],
) -> None:
    """The largest are first, each is right, and the rest is all the others."""
    past = {} if query.compare is None else expected(charges, before(query))
    nothing = dict.fromkeys(MEASURES, 0)
    for key in past:
        wanted.setdefault(key, nothing)
    ranked = sorted(wanted, key=lambda key: (-wanted[key]["cost_nanousd"], *key))
    assert [(row.parent, row.name) for row in rows] == ranked[: query.top]
    for row in rows:
        assert sums_of(row) == wanted[row.parent, row.name]
        if query.compare is not None:
            old = past.get((row.parent, row.name), nothing)
            assert (row.previous_nanousd, row.previous_requests) == (old["cost_nanousd"], old["requests"])
    others = ranked[query.top :]
    assert (rest is None) == (not others)
    if rest is not None:
        assert rest.names == len(others)
        assert rest.cost_nanousd == sum(wanted[key]["cost_nanousd"] for key in others)


def before(query: SpendQuery) -> SpendQuery:
    """The question about the period that is compared with."""
    assert query.compare is not None
    return SpendQuery(query.organization, query.by, query.compare, query.filters)


def check_classes(rows: Sequence[SpendRow], charges: Sequence[Charge]) -> None:
    """Each class has its own cost and tokens; what has no class is in the last row."""
    by_name = {row.name: row for row in rows}
    for name, of in CLASSES.items():
        costs = [of(charge) for charge in charges]
        assert by_name[name].cost_nanousd == sum(cost for cost, _ in costs)
        assert getattr(by_name[name], f"{name}_tokens") == sum(tokens for _, tokens in costs)
    assert sum(row.cost_nanousd for row in rows) == added(charges)["cost_nanousd"]


def some_questions() -> list[SpendQuery]:
    """As many as Hypothesis finds worth asking."""
    asked: list[SpendQuery] = []

    @given(questions())
    @settings(max_examples=250)
    def ask(query: SpendQuery) -> None:
        asked.append(query)

    ask()
    return asked


async def test_every_answer_is_what_the_charges_add_up_to(warehouse: Warehouse, charges: list[Charge]) -> None:
    asked = some_questions()
    for query in asked:
        await check(warehouse, charges, query)
    used = {plan(query).query for query in asked if query.by.over_time is None}
    used |= {
        plan_over_time(query, query.period, list(windows(query.period, kind))).query
        for query in asked
        if (kind := query.by.over_time) is not None
    }
    assert used == {
        *("spend_by_dimension", "spend_by_user", "spend_by_tag", "spend_by_token_class", "spend_over_time"),
        *("charges_by_dimension", "charges_by_tag", "charges_by_token_class", "charges_over_time"),
    }, "each query was asked"


@pytest.mark.parametrize("by", DIMENSIONS)
async def test_an_organization_without_spending_has_no_rows(warehouse: Warehouse, by: str) -> None:
    found = await warehouse.spend(SpendQuery("org-0' OR '1'='1", parse_dimension(by), around("UTC")))
    assert not [row for row in found.rows if row.cost_nanousd or row.requests]
    assert found.total.cost_nanousd == 0
    assert found.rest is None
