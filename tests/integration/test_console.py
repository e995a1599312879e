"""The console on a real broker: events in, figures out, in order, to whom they belong, whatever else is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from services.adapters.kafka import partition_for, tail
from services.adapters.topics import topic
from services.console.sessions import COOKIE
from tests.integration.consoling import (
    WAIT_S,
    Console,
    Tokens,
    Told,
    console_settings,
    running_console,
    spend,
)
from tests.integration.enforcing import PARTITIONS, SlowAggregator, slow_aggregator

MONTH = {"name": "month", "limit_usd": "100", "window": "month"}
Parts = tuple[Console, Tokens, SlowAggregator]


@pytest.fixture
async def parts(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """A console, its keys, and an aggregator that applies what it is told to."""
    settings, tokens = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings) as aggregator, running_console(settings) as console:
        yield console, tokens, aggregator


async def until(events: AsyncIterator[Told], scope: str, today_usd: str) -> list[Told]:
    """Read a stream until a scope has spent so much today; what was read."""
    seen = []
    async with asyncio.timeout(WAIT_S):
        async for told in events:
            seen.append(told)
            if told.data.get(scope, {}).get("today_usd") == today_usd:
                return seen
    raise AssertionError("the stream ended")


async def page_until(events: AsyncIterator[Told], text: str) -> str:
    """Read a page's stream until something is on it; all that was sent."""
    sent = ""
    async with asyncio.timeout(WAIT_S):
        async for told in events:
            sent += "".join(told.data.values())
            if text in sent:
                return sent
    raise AssertionError("the stream ended")


async def test_what_is_spent_arrives_as_it_is_counted_and_never_goes_back(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await aggregator.policy("acme", MONTH)
    await spend(aggregator, "first", "1.00", project="search")
    async with console.stream("organization=acme", tokens.acme) as events:
        seen = await until(events, "org:acme", "1.00")
        for number in range(2, 6):
            await spend(aggregator, f"more-{number}", "1.00", project="search", team="ranking", user="ada")
            seen += await until(events, "org:acme", f"{number}.00")
    totals = [told.data["org:acme"]["today_usd"] for told in seen if "org:acme" in told.data]
    assert totals == sorted(totals)
    months = [told.data["month@org:acme"] for told in seen if "month@org:acme" in told.data]
    assert (months[-1]["settled_usd"], months[-1]["limit_usd"], months[-1]["utilization"]) == ("5.00", "100.00", 0.05)
    versions = [int(told.id) for told in seen]
    assert versions == sorted(versions)


async def test_an_event_has_only_what_changed_and_who_comes_again_gets_a_snapshot(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await spend(aggregator, "quiet", "1.00", project="quiet")
    await spend(aggregator, "busy", "1.00", project="busy")
    async with console.stream("organization=acme", tokens.acme) as events:
        await until(events, "org:acme", "2.00")
        await spend(aggregator, "busier", "1.00", project="busy")
        changed = (await until(events, "org:acme", "3.00"))[-1]
        assert set(changed.data) == {"org:acme", "org:acme/project:busy"}
    async with console.stream("organization=acme", tokens.acme) as events:
        again = await anext(events)
        assert set(again.data) == {"org:acme", "org:acme/project:busy", "org:acme/project:quiet"}


async def test_half_a_transaction_is_never_shown(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await spend(aggregator, "before", "1.00", project="search")
    usage = {"organization": "acme", "project": "search", "gen_ai.request.model": "gpt-4o", "cost_usd": "1.00"}
    async with console.stream("organization=acme", tokens.acme) as events:
        await until(events, "org:acme", "1.00")
        for number in range(3):
            await aggregator.append("acme", "spendgate.usage.recorded.v1", f"n{number}", usage)
        await aggregator.advance()
        for told in await until(events, "org:acme", "4.00"):
            assert told.data.get("org:acme", {}).get("today_usd") == told.data["org:acme/project:search"]["today_usd"]


async def test_a_stream_of_one_organization_has_nothing_of_another(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await spend(aggregator, "theirs", "7.00", organization="other", project="skunkworks")
    await spend(aggregator, "ours", "1.00", project="search")
    async with console.stream("page=/", tokens.acme) as events:
        text = await page_until(events, "search")
        assert "skunkworks" not in text
        assert "/o/other" not in text
    async with console.stream("page=/", tokens.admin) as events:
        assert "/o/other" in await page_until(events, "skunkworks")
    assert (await console.get("/v1/live?organization=other", tokens.acme))[0] == 403
    assert (await console.get("/v1/live?page=/o/other", tokens.acme))[0] == 404
    assert (await console.get("/v1/live", tokens.acme))[0] == 400
    assert (await console.get("/v1/live?organization=acme"))[0] == 401
    assert (await console.get("/v1/live?organization=acme", tokens.edge))[0] == 403


async def test_a_page_follows_by_its_panels(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await spend(aggregator, "first", "1.00", project="search")
    async with console.stream("organization=acme", tokens.acme) as events:
        await until(events, "org:acme", "1.00")
    async with console.stream("page=/o/acme/p/search", tokens.acme) as events:
        first = await anext(events)
        assert first.event == "panels"
        assert {"kpis", "fan", "children", "limits", "models"} <= set(first.data)
        await spend(aggregator, "second", "41.50", project="search")
        assert "$42.50" in await page_until(events, "$42.50")


async def test_a_policy_that_cannot_be_read_ends_nothing(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await aggregator.policy("acme", MONTH)
    settings = aggregator.settings
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for value in (b"{not json", b'{"organization":"acme","version":9,"policy":{"budgets":[{}]}}'):
            partition = partition_for("acme", PARTITIONS)
            await producer.send_and_wait(topic(settings, "policies"), value, key=b"acme", partition=partition)
    await spend(aggregator, "after", "3.00")
    async with console.stream("organization=acme", tokens.acme) as events:
        told = (await until(events, "org:acme", "3.00"))[-1]
        assert told.data["month@org:acme"]["limit_usd"] == "100.00"
    assert (await console.json("/readyz"))["unreadable_records"] == {"policies": 2}


async def test_without_clickhouse_live_pages_go_on_and_say_what_is_missing(parts: Parts) -> None:
    console, tokens, aggregator = parts
    await spend(aggregator, "one", "2.50", project="search")
    async with console.stream("organization=acme", tokens.acme) as events:
        await until(events, "org:acme", "2.50")
    for path in ("/o/acme", "/o/acme/p/search", "/decisions"):
        status, text = await console.get(path, tokens.acme)
        assert status == 200
        assert "ClickHouse does not answer" in text
    status, text = await console.get("/decisions/dec-unknown", tokens.acme)
    assert status == 503
    readiness = await console.json("/readyz")
    assert readiness["ready"] is True
    assert readiness["history"] != "ok"


async def test_it_is_not_ready_before_it_has_read_all_there_was(broker: str, prefix: str, tmp_path: Path) -> None:
    settings, tokens = console_settings("127.0.0.1:9", prefix, tmp_path)
    async with running_console(settings, ready=False) as console:
        assert (await console.get("/readyz"))[0] == 503
        assert (await console.json("/readyz"))["reading"] is not None
        status, text = await console.get("/", tokens.acme)
        assert status == 200
        assert "Still reading" in text
    settings, _ = console_settings(broker, prefix, tmp_path)
    async with running_console(settings) as console:
        assert (await console.json("/readyz"))["reading"] is None


async def test_a_console_that_starts_again_shows_the_same(broker: str, prefix: str, tmp_path: Path) -> None:
    settings, tokens = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings) as aggregator:
        await aggregator.policy("acme", MONTH)
        for number in range(3):
            await spend(aggregator, f"n{number}", "1.25", project="search", user="ada")
        shown = []
        for _ in range(2):
            async with (
                running_console(settings) as console,
                console.stream("organization=acme", tokens.acme) as events,
            ):
                shown.append((await until(events, "org:acme", "3.75"))[-1].data)
    assert shown[0] == shown[1]


async def test_more_streams_than_allowed_are_turned_away(broker: str, prefix: str, tmp_path: Path) -> None:
    settings, tokens = console_settings(broker, prefix, tmp_path, streams_max=2)
    async with running_console(settings) as console:
        async with console.stream("page=/", tokens.acme) as one, console.stream("page=/", tokens.acme) as two:
            await anext(one), await anext(two)
            assert (await console.get("/v1/live?page=/", tokens.acme))[0] == 503
        async with asyncio.timeout(WAIT_S):
            while (await console.get("/v1/live?page=/nowhere", tokens.acme))[0] != 404:
                await asyncio.sleep(0.05)


async def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(parts: Parts) -> None:
    console, tokens, _ = parts
    status, _ = await console.get("/")
    assert status == 303
    own, url = {"Sec-Fetch-Site": "same-origin"}, f"{console.url}/sign-in"
    for token in ("sg_viewer_" + "x" * 43, tokens.edge, ""):
        async with console.session.post(url, data={"key": token}, headers=own) as response:
            assert response.status == 401
            assert COOKIE not in response.cookies
    async with console.session.post(
        url, data={"key": tokens.acme, "next": "//evil.example"}, headers=own, allow_redirects=False
    ) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")
        cookie = response.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert tokens.acme not in cookie.value
    status, _ = await console.get("/", cookies={COOKIE: cookie.value})
    assert status == 200
    status, _ = await console.get("/", cookies={COOKIE: cookie.value[:-1] + "~"})
    assert status == 303


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}],
)
async def test_a_form_of_another_site_neither_signs_in_nor_out(parts: Parts, headers: dict[str, str]) -> None:
    console, tokens, _ = parts
    for path in ("/sign-in", "/sign-out"):
        async with console.session.post(
            console.url + path, data={"key": tokens.acme}, headers=headers, allow_redirects=False
        ) as response:
            assert response.status == 403
            assert COOKIE not in response.cookies


async def test_guessing_keys_is_stopped(parts: Parts) -> None:
    console, tokens, _ = parts
    own, url = {"Sec-Fetch-Site": "same-origin"}, f"{console.url}/sign-in"
    for _ in range(10):
        async with console.session.post(url, data={"key": "guess"}, headers=own) as response:
            assert response.status == 401
    async with console.session.post(url, data={"key": tokens.acme}, headers=own) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 200


async def test_a_session_reads_the_api_and_changes_nothing(parts: Parts) -> None:
    console, tokens, _ = parts
    cookies = await console.sign_in(tokens.acme)
    status, _ = await console.get("/v1/live?organization=other", cookies=cookies)
    assert status == 403
    async with console.session.post(f"{console.url}/v1/live", cookies=cookies) as response:
        assert response.status == 405


async def test_every_page_is_under_a_policy_that_runs_no_foreign_script(parts: Parts) -> None:
    console, tokens, _ = parts
    for path in ("/", "/sign-in", "/alerts", "/o/nobody", "/reports"):
        async with console.session.get(
            console.url + path, headers={"Authorization": f"Bearer {tokens.acme}"}
        ) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            text = await response.text()
            assert "style=" not in text
            assert "<script>" not in text


async def test_names_that_look_like_markup_stay_names(parts: Parts) -> None:
    console, tokens, aggregator = parts
    hostile = "<script>alert(1)</script>"
    await spend(aggregator, "x", "1.00", project=hostile, user=hostile, **{"gen_ai.request.model": hostile})
    async with console.stream("organization=acme", tokens.acme) as events:
        await until(events, "org:acme", "1.00")
    for path in ("/", "/o/acme", "/o/acme/p/%3Cscript%3Ealert%281%29%3C%2Fscript%3E"):
        status, text = await console.get(path, tokens.acme)
        assert status == 200
        assert hostile not in text
        assert "&lt;script&gt;alert(1)" in text


async def test_a_tail_may_begin_at_an_instant(broker: str, prefix: str, tmp_path: Path) -> None:
    settings, _ = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings), AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        sent = [await producer.send_and_wait(topic(settings, "charges"), b"[]", partition=1) for _ in range(2)]
        later = sent[-1].timestamp + 1
        while (last := await producer.send_and_wait(topic(settings, "charges"), b"[]", partition=1)).timestamp < later:
            pass
        for since_ms, first in ((0, 0), (last.timestamp, last.offset), (last.timestamp + 10**9, None)):
            async with aclosing(tail(settings, ["charges"], since_ms={"charges": since_ms})) as batches:
                found = []
                async for batch in batches:
                    found += [record.offset for records in batch.records.values() for record in records]
                    if batch.caught_up:
                        break
            assert (found[0] if found else None) == first
