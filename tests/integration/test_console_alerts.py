"""The page of an alert: to whom it belongs, and taken by a form that only this console's own pages can send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from services.console.settings import ConsoleSettings
from tests.integration.aggregating import read_all
from tests.integration.consoling import WAIT_S, Console, Tokens, console_settings, running_console
from tests.integration.enforcing import slow_aggregator
from tests.integration.notifying import alert, raise_alerts

Parts = tuple[Console, Tokens, ConsoleSettings]
Form = dict[str, str]
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
    assert event["data"].pop("key_id")
    assert event["data"] == {"organization": "acme", "alert": NAME, "by": "Ada <b>", "note": "on it"}


async def test_a_form_that_is_sent_twice_is_one_answer_and_every_page_says_whose(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    settings, tokens = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings) as aggregator, running_console(settings) as console:
        await raise_alerts(settings, [alert(NAME)])
        cookies = await console.sign_in(tokens.acme)
        shown = await until(console, page(), cookies, "I take it from here")
        (sent,) = re.findall('name="id" value="([0-9a-f]{32})"', shown)
        form = {"organization": "acme", "name": NAME, "by": "Ada", "note": "stopped the batch", "id": sent}
        assert [await post(console, form, cookies) for _ in range(2)] == [303, 303]
        assert "1 unanswered" in (await console.get("/alerts", cookies=cookies))[1]
        await aggregator.advance()
        listed = await until(console, "/alerts", cookies, "Ada has it since")
        assert "all answered" in listed
        shown = await until(console, page(), cookies, "stopped the batch")
        assert "I take it from here" not in shown
        entries = [
            event["data"] for each in await read_all(settings, "audit") for event in msgspec.json.decode(each.value)
        ]
    assert [(entry["subject"], entry["by"]) for entry in entries] == [(NAME, "Ada")]


async def test_what_was_written_is_still_there_when_the_name_is_missing(parts: Parts) -> None:
    console, tokens, _ = parts
    form = {"organization": "acme", "name": NAME, "by": "", "note": 'a "quoted" plan', "id": "0" * 32}
    cookies = await console.sign_in(tokens.acme)
    async with console.session.post(f"{console.url}/alert", data=form, headers=OWN, cookies=cookies) as response:
        assert response.status == 422
        text = await response.text()
    assert 'value="a &#34;quoted&#34; plan"' in text
    assert f'name="id" value="{"0" * 32}"' in text
    assert 'aria-invalid="true"' in text


async def post(console: Console, form: Form, cookies: dict[str, str]) -> int:
    """The status that a form is answered with."""
    async with console.session.post(
        f"{console.url}/alert", data=form, headers=OWN, cookies=cookies, allow_redirects=False
    ) as response:
        return response.status


async def until(console: Console, path: str, cookies: dict[str, str], text: str) -> str:
    """A page, once this is on it."""
    async with asyncio.timeout(WAIT_S):
        while text not in (shown := (await console.get(path, cookies=cookies))[1]):
            await asyncio.sleep(0.05)
    return shown


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
