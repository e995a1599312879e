"""Whether ClickHouse holds every charge exactly once: `python -m services.sink.audit`, and the same for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver import Client

from services.adapters.clickhouse import FAILURES, AddressError, explain, open_client
from services.adapters.settings import Settings

MEASURES = (
    "requests",
    "unpriced",
    "cost_nanousd",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "unconfirmed_nanousd",
)
CLASS_COSTS = ("input_cost_nanousd", "cache_read_cost_nanousd", "cache_write_cost_nanousd", "output_cost_nanousd")

# Raw rows leave 25 months after they were recorded; the last 24 are whole.
_WHOLE = "now() - INTERVAL 24 MONTH"

_SEQUENCES = f"""
SELECT
    ledger_partition, count(), uniqExact(sequence), min(sequence), max(sequence),
    (SELECT min(applied_at) >= {_WHOLE} FROM schema_migrations) AS young
FROM charges
WHERE recorded_at >= {_WHOLE}
GROUP BY ledger_partition
ORDER BY ledger_partition
"""  # noqa: S608 - a constant

_DECISIONS = "SELECT count(), uniqExact(decision) FROM decisions"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, what was found, and whether it holds."""

    name: str
    exact: bool
    found: str


@dataclass(frozen=True, slots=True)
class Audit:
    """All checks of one database. Rows that are on their way in just now may show as a difference: audit it at rest."""

    checks: Sequence[Check]

    @property
    def exact(self) -> bool:
        """Whether everything holds."""
        return all(check.exact for check in self.checks)

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        return "\n".join(f"{'ok   ' if c.exact else 'WRONG'}  {c.name:<{width}}  {c.found}" for c in self.checks)


def audit(client: Client) -> Audit:
    """Check the database of this client. Raises `clickhouse.FAILURES`."""
    return Audit([*_sequences(client), *_rollups(client), _decisions(client)])


def _sequences(client: Client) -> Iterator[Check]:
    """The aggregator numbers the charges of a ledger partition 1, 2, 3 ...: none may be missing or here twice."""
    for partition, rows, different, first, last, young in client.query(_SEQUENCES).result_rows:
        faults = []
        if rows > different:
            faults.append(f"{rows - different:,} rows too many")
        if different < last - first + 1:
            faults.append(f"{last - first + 1 - different:,} rows missing")
        if first > 1 and young:
            faults.append(f"{first - 1:,} rows missing at the start")
        found = f"{rows:,} rows, sequence {first:,} to {last:,}"
        yield Check(f"charges of partition {partition}", not faults, "; ".join([found, *faults]))


def _rollups(client: Client) -> Iterator[Check]:
    keys = ("project", "team", "provider", "model")
    yield _rollup(client, "spend_by_hour", "toDate(hour)", "charges", keys, (*MEASURES, *CLASS_COSTS))
    yield _rollup(client, "spend_by_day", "day", "charges", (*keys, "status"), (*MEASURES, *CLASS_COSTS))
    yield _rollup(client, "spend_by_day_user", "day", "charges", ("user",))
    yield _rollup(client, "spend_of_users", "day", "charges", ("user",))
    tagged = "charges ARRAY JOIN mapKeys(tags) AS tag, mapValues(tags) AS value"
    yield _rollup(client, "spend_by_day_tag", "day", tagged, ("tag", "value"))


def _rollup(
    client: Client, table: str, day: str, source: str, keys: Sequence[str], measures: Sequence[str] = MEASURES
) -> Check:
    """Every sum of every organization, day and key must be the sum over the raw rows."""
    by = ", ".join(["organization", "at_day", *keys])
    raw_sums = ", ".join(f"sum(ifNull(charges.{name}, 0)) AS {name}" for name in measures)
    sums = ", ".join(f"sum({table}.{name}) AS {name}" for name in measures)
    nothing = " AND ".join(f"{name} = 0" for name in measures)
    columns = ", ".join(measures)
    result = client.query(
        f"""
        WITH
            raw AS (
                SELECT {by.replace("at_day", "toDate(charged_at, 'UTC') AS at_day")}, {raw_sums} FROM {source}
                WHERE charged_at >= toStartOfDay({_WHOLE}, 'UTC') GROUP BY {by} HAVING NOT ({nothing})
            ),
            rollup AS (
                SELECT {by.replace("at_day", f"{day} AS at_day")}, {sums} FROM {table}
                WHERE {day} >= toDate({_WHOLE}, 'UTC') GROUP BY {by} HAVING NOT ({nothing})
            )
        SELECT
            (SELECT count() FROM (SELECT {by}, {columns} FROM raw EXCEPT SELECT {by}, {columns} FROM rollup)),
            (SELECT count() FROM (SELECT {by}, {columns} FROM rollup EXCEPT SELECT {by}, {columns} FROM raw)),
            (SELECT (sum(requests), sum(cost_nanousd)) FROM raw),
            (SELECT (sum(requests), sum(cost_nanousd)) FROM rollup)
        """  # noqa: S608 - names of our own tables and columns
    )
    missing, wrong, raw, rollup = result.result_rows[0]
    found = f"{rollup[0]:,} requests, {rollup[1]:,} nano-dollars"
    if missing or wrong:
        found += f"; {max(missing, wrong):,} sums differ, raw rows say {raw[0]:,} and {raw[1]:,}"
    return Check(f"{table} equals charges", not (missing or wrong), found)


def _decisions(client: Client) -> Check:
    rows, different = client.query(_DECISIONS).result_rows[0]
    doubled = f"; {rows - different:,} rows too many" if rows > different else ""
    return Check("decisions", rows == different, f"{rows:,} rows{doubled}")


def main() -> int:
    """Audit the database of SPENDGATE_CLICKHOUSE: 0 exact, 1 not, 2 it could not be asked."""
    try:
        with open_client(Settings().clickhouse) as client:
            result = audit(client)
    except (AddressError, *FAILURES) as error:
        sys.stderr.write(f"{explain(error)}\n")
        return 2
    sys.stdout.write(f"{result}\n")
    return 0 if result.exact else 1


if __name__ == "__main__":
    sys.exit(main())
