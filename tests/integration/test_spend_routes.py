"""The console's route of spending: what it answers, what it refuses and how, and whose spending nobody else sees."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
from jsonschema_rs import validator_for

from services.adapters.keys import Role, new_key, write_keys
from services.adapters.migrations import migrate, read_migrations
from services.adapters.web import listening
from services.console.app import build
from services.console.settings import ConsoleSettings
from services.console.spend_routes import OPENAPI, PARAMETERS
from services.core.money import parse_usd
from services.core.outcomes import Charge
from services.sink.__main__ import MIGRATIONS
from tests.integration.sinking import Charges
from tests.integration.test_spend import store

SOME = "2026-11-01..2026-12-01"


@dataclass(frozen=True, slots=True)
class Console:
    """A console that serves, and a key of each kind."""

    session: aiohttp.ClientSession
    url: str
    tokens: dict[str, str]

    async def get(self, key: str = "viewer", accept: str = "*/*", **parameters: Any) -> tuple[int, Any]:
        """Status and body of `/v1/spend`."""
        headers = {"Authorization": f"Bearer {self.tokens[key]}", "Accept": accept}
        async with self.session.get(f"{self.url}/v1/spend", params=parameters, headers=headers) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()

    async def refused(self, **parameters: Any) -> tuple[int, str, str]:
        """Status, field and message of a refusal."""
        status, body = await self.get(**parameters)
        return status, body["error"].get("field", ""), body["error"]["message"]


@pytest.fixture(scope="module")
def charges() -> list[Charge]:
    """Of two organizations."""
    made = Charges(Random(3))
    return [made.charge(number % 2, number // 2 + 1) for number in range(400)]


@pytest.fixture
async def console(clickhouse: str, charges: list[Charge], tmp_path: Path) -> AsyncIterator[Console]:
    """A console over a warehouse with these charges."""
    migrate(clickhouse, read_migrations(MIGRATIONS))
    await store(clickhouse, charges)
    async with running(clickhouse, tmp_path) as started:
        yield started


@asynccontextmanager
async def running(address: str, folder: Path) -> AsyncIterator[Console]:
    """A console of that ClickHouse, for as long as the block lasts."""
    kinds = {"viewer": (Role.VIEWER, "org-0"), "admin": (Role.ADMIN, "*"), "edge": (Role.EDGE, "org-0")}
    made = {name: new_key(role, organization) for name, (role, organization) in kinds.items()}
    write_keys(folder / "keys.json", [record for _, record in made.values()])
    tokens = {name: token for name, (token, _) in made.items()}
    settings = ConsoleSettings(clickhouse=address, keys_file=folder / "keys.json", data_dir=folder)
    async with listening(build(settings), settings) as port, aiohttp.ClientSession() as session:
        yield Console(session, f"http://127.0.0.1:{port}", tokens)


def total(charges: list[Charge], organization: str, **only: str) -> int:
    """What charges of an organization add up to."""
    return sum(
        charge.cost_nanousd or 0
        for charge in charges
        if charge.organization == organization and all(getattr(charge, n) == value for n, value in only.items())
    )


async def test_spending_adds_up_as_json_and_as_csv(console: Console, charges: list[Charge]) -> None:
    asked: dict[str, Any] = {
        "by": "user",
        "period": SOME,
        "only": "project:search",
        "top": 3,
        "compare": "true",
        "zone": "Asia/Kolkata",
    }
    status, found = await console.get(**asked)
    assert status == 200
    assert parse_usd(found["total_usd"]) == total(charges, "org-0", project="search")
    parts = [*found["rows"], found["rest"]]
    assert sum(parse_usd(row["cost_usd"]) for row in parts) == parse_usd(found["total_usd"])
    assert found["rest"]["names"] == 10
    assert found["rest"]["label"] == "(10 more)"
    assert found["since"] == "2026-11-01T00:00:00+05:30"
    assert found["compared_with"]["since"] == "2026-10-02T00:00:00+05:30"
    assert parse_usd(found["total"]["change_usd"]) == parse_usd(found["total_usd"]) - parse_usd(
        found["total"]["previous_usd"]
    )
    schema = OPENAPI["/v1/spend"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert validator_for(schema).is_valid(found)
    status, text = await console.get(accept="text/csv", **asked)
    lines = list(csv.DictReader(text.splitlines()))
    assert status == 200
    assert [line["user"] for line in lines] == [row["label"] for row in parts]
    assert [line["cost_usd"] for line in lines] == [row["cost_usd"] for row in parts]


async def test_what_has_no_name_is_said_to_have_none(console: Console) -> None:
    for by, label in {
        "user": "(no user)",
        "feature": "(no feature)",
        "tag.cost-center": "(no tag.cost-center)",
    }.items():
        _, found = await console.get(by=by, period=SOME)
        assert label in {row["label"] for row in found["rows"] if row[by] == ""}
    _, found = await console.get(by="team", period=SOME)
    assert {"(no project)/ranking", "search/(no team)", "(no team)"} <= {row["label"] for row in found["rows"]}


async def test_a_key_of_one_organization_sees_that_one_alone(console: Console, charges: list[Charge]) -> None:
    _, own = await console.get(period=SOME)
    assert own["organization"] == "org-0"
    assert parse_usd(own["total_usd"]) == total(charges, "org-0")
    status, body = await console.get(organization="org-1", period=SOME)
    assert status == 403
    assert "total_usd" not in body
    assert (await console.refused(organization="org-1"))[1] == "organization"
    assert (await console.get(key="edge"))[0] == 403
    assert (await console.get(key="admin"))[0] == 422
    status, other = await console.get(key="admin", organization="org-1", period=SOME)
    assert parse_usd(other["total_usd"]) == total(charges, "org-1")


async def test_nobody_without_a_key_is_told_anything(console: Console) -> None:
    async with console.session.get(f"{console.url}/v1/spend?organization=org-0") as response:
        assert response.status == 401


@pytest.mark.parametrize(
    ("parameters", "field", "advice"),
    [
        ({"by": "colour"}, "by", "project, team"),
        ({"by": "tag."}, "by", "tag.NAME"),
        ({"period": "sometime"}, "period", "this-week"),
        ({"period": "2020-01-01..2026-01-01", "by": "hour"}, "period", "shorter"),
        ({"zone": "Mars/Olympus"}, "zone", "America/New_York"),
        ({"only": "alice"}, "only", "user:alice"),
        ({"only": "day:2026-11-01"}, "only", "period"),
        ({"only": "x" * 2000}, "only", "NAME:VALUE"),
        ({"top": "0"}, "top", "1 to 1000"),
        ({"top": "9" * 50}, "top", "1 to 1000"),
        ({"top": "²"}, "top", "1 to 1000"),
        ({"compare": "maybe"}, "compare", "true or false"),
        ({"group": "user"}, "group", "organization, by"),
        ({"period": "1970-01-01..1970-01-02", "compare": "true"}, "compare", "1970"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_advice(
    console: Console, parameters: dict[str, Any], field: str, advice: str
) -> None:
    status, at, message = await console.refused(**parameters)
    assert (status, at) == (422, field)
    assert advice in message


async def test_a_parameter_that_is_given_twice_is_refused(console: Console) -> None:
    url = f"{console.url}/v1/spend?by=user&by=team"
    async with console.session.get(url, headers={"Authorization": f"Bearer {console.tokens['viewer']}"}) as response:
        assert response.status == 422


async def test_without_clickhouse_the_console_lives_and_says_so(tmp_path: Path) -> None:
    async with running("http://default:x@127.0.0.1:1/none", tmp_path) as console:
        assert (await console.refused(period=SOME))[0] == 503
        async with console.session.get(f"{console.url}/healthz") as response:
            assert response.status == 200


async def test_the_document_of_the_api_names_every_parameter(console: Console) -> None:
    async with console.session.get(f"{console.url}/openapi.json") as response:
        document = msgspec.json.decode(await response.read())
    described = {each["name"] for each in document["paths"]["/v1/spend"]["get"]["parameters"]}
    assert described == PARAMETERS.keys()
