"""`kill -9` of every process, again and again under load: four sums stay equal, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from services.adapters.clickhouse import open_client
from services.aggregator.replay import replay
from services.cli.api import open_api
from services.cli.board import read_board
from services.cli.connection import connect
from services.cli.warehouse import open_warehouse
from services.core.pricing import PriceBook
from services.sink.audit import audit
from tests.e2e.chaos import LIMITED, ORGANIZATIONS, Load, kill_in_turn, limit

SERVICES = ("ingest", "enforcer", "aggregator-0", "aggregator-1", "sink")
VICTIMS = (*SERVICES, "kafka", "clickhouse")
ROUNDS = 3


@pytest.mark.timeout(900)
async def test_sums_stay_exact_through_kill_9_of_everything(tmp_path: Path) -> None:
    async with Stack(tmp_path, SERVICES) as stack:
        connection = connect(tmp_path)
        async with open_api(connection, in_flight=600) as api:
            await limit(api)
            load = Load(api, requests_each=900, within_s=100.0)
            playing = asyncio.create_task(load.run())
            killed = await kill_in_turn(stack, VICTIMS, rounds=ROUNDS, seed=20)
            await playing
        assert len(killed) >= 20
        for organization, tally in load.tallies.items():
            assert (tally.failed, tally.rejected) == (0, 0), (organization, tally.failures)
            assert tally.resent > 0
            assert len(tally.admitted) + tally.denied == tally.planned
            assert (tally.denied > 0) == (organization in LIMITED), organization

        async with open_warehouse(connection.settings) as warehouse:
            for organization in ORGANIZATIONS:
                admitted = len(load.tallies[organization].admitted)
                assert await warehouse.await_requests(organization, admitted, timeout_s=180), organization
            board = await read_board(connection.settings)
            for organization in ORGANIZATIONS:
                expected = load.expected_nanousd(organization)
                assert board.policy(organization).zone.key == (LIMITED.get(organization) or "UTC")
                assert board.settled_nanousd(organization) == expected
                assert set(board.level_sums(organization).values()) == {expected}
                assert await warehouse.raw_nanousd(organization) == expected
                assert await warehouse.rollup_nanousd(organization) == expected
                assert await warehouse.requests(organization) == len(load.tallies[organization].admitted)

        with open_client(connection.settings.clickhouse) as client:
            assert [check for check in audit(client).checks if not check.exact] == []
        refolded = await replay(connection.settings, PriceBook.bundled())
        assert refolded.records > 0
        assert list(refolded.differences) == []
