"""The five tables read-only over HTTP: the live balances of the partitions that this worker holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nsmallest

import msgspec
from aiohttp import web

from services.adapters.keys import ANY_ORGANIZATION, Principal, Role
from services.adapters.web import PRINCIPAL, add_route, require_organization
from services.adapters.web_errors import ApiError, json_response
from services.aggregator.partition import Partition
from services.core.balance import Balance, split_key
from services.core.money import format_usd
from services.core.scope import Level, scope_key

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

Opened = Callable[[], Mapping[int, Partition]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One balance as the API shows it."""

    key: str
    scope: str
    window: str
    settled_usd: str
    unconfirmed_usd: str
    requests: int
    unpriced: int
    partition: int
    offset: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order of their keys; `next` is the `after` of the following page, None on the last."""

    level: Level
    rows: list[Row]
    next: str | None


def add_table_routes(app: web.Application, opened: Opened) -> None:
    """Serve `GET /v1/tables/{level}` and `GET /v1/position`; `opened` gives the partitions that are ready."""

    async def table(request: web.Request) -> web.Response:
        level = _level(request.match_info["level"])
        organization = _organization(request.query.get("organization"), request[PRINCIPAL])
        after, limit = request.query.get("after", ""), _limit(request.query.get("limit"))
        return json_response(await page(opened(), level, organization=organization, after=after, limit=limit))

    async def position(_request: web.Request) -> web.Response:
        partitions = sorted(opened().items())
        return json_response(
            {"partitions": [{"partition": n, "offset": p.state.position.offset} for n, p in partitions]}
        )

    add_route(app, "GET", "/v1/tables/{level}", table, roles=[Role.VIEWER])
    add_route(app, "GET", "/v1/position", position, roles=[Role.VIEWER])


async def page(
    partitions: Mapping[int, Partition], level: Level, *, organization: str | None, after: str, limit: int
) -> Page:
    """One page of a level over all partitions. Looks at every key, in a thread: made for audits, not for hot paths."""
    tables = {number: partition.state.tables[level] for number, partition in partitions.items()}
    # Copying the keys is one step for the interpreter, so the fold may go on while the thread sorts them.
    keys = [(key, number) for number, table in tables.items() for key in list(table)]
    chosen = await asyncio.to_thread(_choose, keys, _prefixes(organization), after, limit + 1)
    rows = [
        _row(key, number, balance) for key, number in chosen[:limit] if (balance := tables[number].get(key)) is not None
    ]
    return Page(level=level, rows=rows, next=chosen[limit - 1][0] if len(chosen) > limit else None)


def _choose(
    keys: Iterable[tuple[str, int]], prefixes: tuple[str, ...], after: str, limit: int
) -> Sequence[tuple[str, int]]:
    return nsmallest(limit, (place for place in keys if place[0] > after and place[0].startswith(prefixes)))


def _prefixes(organization: str | None) -> tuple[str, ...]:
    if organization is None:
        return ("",)
    scope = scope_key({"org": organization})
    return (f"{scope}@", f"{scope}/")


def _row(key: str, partition: int, balance: Balance) -> Row:
    scope, window = split_key(key)
    return Row(
        key=key,
        scope=scope,
        window=window,
        settled_usd=format_usd(balance.settled_nanousd),
        unconfirmed_usd=format_usd(balance.unconfirmed_nanousd),
        requests=balance.requests,
        unpriced=balance.unpriced,
        partition=partition,
        offset=balance.offset,
    )


def _level(text: str) -> Level:
    try:
        return Level(text)
    except ValueError:
        levels = ", ".join(Level)
        raise ApiError(
            404, "no_such_table", f"{text[:40]!r} is not a table: use one of {levels}", field="level"
        ) from None


def _organization(asked: str | None, principal: Principal) -> str | None:
    """Whose balances to show; None for everybody's."""
    if asked is None:
        return None if principal.organization == ANY_ORGANIZATION else principal.organization
    require_organization(principal, asked)
    if not asked:
        raise ApiError(422, "invalid_organization", "organization may not be empty", field="organization")
    return asked


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_LIMIT):
        raise ApiError(422, "invalid_limit", f"limit must be a whole number from 1 to {MAX_LIMIT}", field="limit")
    return int(text)
