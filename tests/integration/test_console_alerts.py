"""The page of an alert: to whom it belongs, and taken by a form that only this console's own pages can send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from services.console.settings import ConsoleSettings
from tests.integration.aggregating import read_all
from tests.integration.consoling import WAIT_S, Console, Tokens, console_settings, running_console
from tests.integration.notifying import alert, raise_alerts

Parts = tuple[Console, Tokens, ConsoleSettings]
NAME = "all/org:acme@month:2026-11/9000"
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def parts(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Parts]:
    settings, tokens = console_settings(broker, prefix, tmp_path)
    await raise_alerts(settings, [alert(NAME), alert("theirs", organization="other")])
    async with running_console(settings) as console:
        await console.ready()
        yield console, tokens, settings


def page(name: str = NAME, organization: str = "acme") -> str:
    """The address of an alert's page."""
    return f"/alert?{urlencode({'organization': organization, 'name': name})}"


async def test_an_alert_has_a_page_that_only_its_organization_sees(parts: Parts) -> None:
    console, tokens, _ = parts
    status, text = await console.get(page(), tokens.acme)
    assert status == 200
    assert "I take it from here" in text
    assert (await console.get(page(), tokens.other))[0] == 404
    assert (await console.get(page("theirs", "other"), tokens.acme))[0] == 404
    assert (await console.get(page("theirs"), tokens.acme))[0] == 404
    assert (await console.get(page()))[0] == 303
    status, listed = await console.get("/alerts", tokens.acme)
    assert status == 200
    assert page().replace("&", "&amp;").partition("?")[0] in listed


async def test_who_takes_an_alert_is_in_the_ledger(parts: Parts) -> None:
    console, tokens, settings = parts
    cookies = await console.sign_in(tokens.acme)
    form = {"organization": "acme", "name": NAME, "by": "Ada <b>", "note": "on it"}
    async with console.session.post(
        f"{console.url}/alert", data=form, headers=OWN, cookies=cookies, allow_redirects=False
    ) as response:
        assert response.status == 303
        to = response.headers["Location"]
    status, text = await console.get(to, cookies=cookies)
    assert status == 200
    assert "nobody else is asked" in text
    async with asyncio.timeout(WAIT_S):
        while not (records := await read_all(settings, "ledger")):
            await asyncio.sleep(0.1)
    (event,) = msgspec.json.decode(records[0].value)
    assert event["type"] == "spendgate.alert.acknowledged.v1"
    assert event["data"] == {"organization": "acme", "alert": NAME, "by": "Ada <b>", "note": "on it"}


async def test_nothing_is_taken_by_another_site_a_program_or_nobody(parts: Parts) -> None:
    console, tokens, settings = parts
    cookies = await console.sign_in(tokens.acme)
    form = {"organization": "acme", "name": NAME, "by": "Ada"}
    url = f"{console.url}/alert"
    for headers, data, status in (
        ({"Sec-Fetch-Site": "cross-site"}, form, 403),
        ({}, form, 403),
        (OWN, {**form, "by": " "}, 422),
        (OWN, {**form, "by": "A" * 257}, 422),
        (OWN, {**form, "organization": "other", "name": "theirs"}, 404),
        (OWN, {**form, "name": "none"}, 404),
    ):
        async with console.session.post(url, data=data, headers=headers, cookies=cookies) as response:
            assert response.status == status, data
    bearer = {"Authorization": f"Bearer {tokens.acme}", **OWN}
    console.session.cookie_jar.clear()
    async with console.session.post(url, data=form, headers=bearer, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == "/sign-in"
    assert await read_all(settings, "ledger") == []
