"""The aggregator's own port: tables by level, page by page, for those whose tables they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest

from services.adapters.keys import Role, new_key, write_keys
from services.adapters.topics import ensure_topics
from services.aggregator.settings import AggregatorSettings
from services.core.balance import Balance, split_key
from services.core.money import format_usd
from services.core.scope import Level, level_of
from tests.integration.aggregating import Image, Load, Worker, append, ledger_ends, ledger_producer, settled_image


@dataclass(frozen=True, slots=True)
class Api:
    """A worker that has applied some load, and a client of its port."""

    http: aiohttp.ClientSession
    admin: str
    viewer: str
    image: Image

    async def get(self, path: str, token: str | None, **query: str) -> tuple[int, Any]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.http.get(path, headers=headers, params=query) as response:
            return response.status, await response.json(content_type=None)

    async def table(self, level: Level, token: str, **query: str) -> list[dict[str, Any]]:
        """Every row, following the pages."""
        rows: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            status, found = await self.get(f"/v1/tables/{level}", token, after=after, **query)
            assert status == 200
            rows += found["rows"]
            after = found["next"]
        return rows


@pytest.fixture(scope="module")
async def api(broker: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("tables")
    (admin, admin_record), (viewer, viewer_record) = new_key(Role.ADMIN, "*"), new_key(Role.VIEWER, "org-1")
    write_keys(folder / "keys.json", [admin_record, viewer_record])
    settings = AggregatorSettings(kafka=broker, topic_prefix="tables.", keys_file=folder / "keys.json")
    await ensure_topics(settings)
    async with ledger_producer(settings) as producer:
        await append(producer, settings, Load(Random(31)), records=60, size=5)
    worker = await Worker.start(settings, folder, "worker")
    await worker.logged("partition opened", count=4)
    image = await settled_image(settings, await ledger_ends(settings))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{worker.port_file.read_text()}") as http:
        yield Api(http, admin, viewer, image)
    assert await worker.stop() == 0


async def test_the_tables_are_the_changelog(api: Api) -> None:
    shown: dict[str, tuple[str, int, int]] = {}
    for level in Level:
        rows = await api.table(level, api.admin, limit="37")
        assert [row["key"] for row in rows] == sorted(row["key"] for row in rows)
        assert {level_of(row["scope"]) for row in rows} <= {level}
        shown |= {row["key"]: (row["settled_usd"], row["requests"], row["offset"]) for row in rows}
    balances = {key: msgspec.json.decode(value, type=Balance) for key, value in api.image.values.items()}
    assert shown == {
        key: (format_usd(balance.settled_nanousd), balance.requests, balance.offset)
        for key, balance in balances.items()
    }


async def test_an_organization_sees_its_own_rows(api: Api) -> None:
    own = await api.table(Level.USER, api.viewer)
    asked = await api.table(Level.USER, api.admin, organization="org-1")
    assert own == asked
    assert {split_key(row["key"])[0].partition("/")[0] for row in own} == {"org:org-1"}
    assert (await api.get("/v1/tables/user", api.viewer, organization="org-2"))[0] == 403


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/v1/tables/galaxy", {}, 404),
        ("/v1/tables/user", {"limit": "0"}, 422),
        ("/v1/tables/user", {"limit": "1001"}, 422),
        ("/v1/tables/user", {"limit": "x"}, 422),
        ("/v1/tables/user", {"organization": ""}, 422),
    ],
)
async def test_wrong_questions(api: Api, path: str, query: dict[str, str], status: int) -> None:
    assert (await api.get(path, api.admin, **query))[0] == status


async def test_keys_are_needed_and_health_is_open(api: Api) -> None:
    assert (await api.get("/v1/tables/user", None))[0] == 401
    assert (await api.get("/healthz", None)) == (200, {"status": "ok"})
    assert (await api.get("/openapi.json", None))[0] == 200
    status, answer = await api.get("/readyz", None)
    assert (status, answer["opening"], set(answer["positions"])) == (200, [], {"0", "1", "2", "3"})


async def test_positions_are_those_of_the_changelog(api: Api) -> None:
    _, found = await api.get("/v1/position", api.viewer)
    shown = {place["partition"]: place["offset"] for place in found["partitions"] if place["offset"] >= 0}
    assert shown == {number: position.offset for number, position in api.image.positions.items()}
