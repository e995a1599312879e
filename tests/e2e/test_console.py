"""The console in a real Chromium: signing in, live figures, the keyboard, small and dark screens, and what is heard."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.async_api import Browser, Page, expect

from services.enforcer.settings import EnforcerSettings
from tests.e2e.browser import Visitor, visiting
from tests.e2e.browser import running_browser as browsers
from tests.integration.consoling import Console, Tokens, console_settings, running_console, spend
from tests.integration.enforcing import SlowAggregator, running_enforcer, slow_aggregator

PATHS = (
    "/",
    "/o/acme",
    "/o/acme/p/search",
    "/o/acme/p/search/t/ranking",
    "/o/acme/u/ada",
    "/decisions",
    "/alerts",
    "/anomalies",
    "/forecasts",
    "/reports",
)
BUDGETS = (
    {"name": "company-month", "limit_usd": "1000", "window": "month"},
    {"name": "search-day", "scope": {"project": "search"}, "limit_usd": "20", "window": "day"},
    {"name": "each-user-day", "scope": {"user": "*"}, "limit_usd": "10", "window": "day"},
)
CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text("utf-8")
OUTLINE = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return [element === document.body, style.outlineStyle, style.outlineWidth];
}"""
LINK_IN_FOCUS = """() => {
  const element = document.activeElement;
  return element.closest("main") && element.tagName === "A" ? element.textContent : "";
}"""
NAMELESS = re.compile(r"(link|button|region|group|img|textbox|heading|columnheader)\b(?! \")")
"""A line of an accessibility snapshot whose element has no name."""


class Stage(NamedTuple):
    """What a test plays with."""

    browser: Browser
    console: Console
    tokens: Tokens
    aggregator: SlowAggregator

    async def spend(self, name: str, cost_usd: str, user: str = "ada") -> None:
        """One request more of the team that everybody looks at."""
        await spend(self.aggregator, name, cost_usd, project="search", team="ranking", user=user)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium a session; each visitor has its own profile."""
    async with browsers() as found:
        yield found


@pytest.fixture
async def stage(browser: Browser, broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A console that shows one request of 1.50 USD."""
    settings, tokens = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings) as aggregator, running_console(settings) as console:
        await aggregator.policy("acme", *BUDGETS)
        found = Stage(browser, console, tokens, aggregator)
        await found.spend("first", "1.50")
        yield found


async def test_a_figure_changes_by_itself_after_an_event(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        await visitor.sign_in(stage.tokens.acme)
        await visitor.live()
        today = visitor.page.locator("#kpi-today")
        await expect(today).to_contain_text("$1.50")
        await visitor.page.evaluate("window.sameDocument = true")
        await stage.spend("second", "2.25")
        await expect(today).to_contain_text("$3.75")
        table = visitor.page.get_by_role("region", name="Projects and teams")
        row = table.get_by_role("row").filter(has_text="ranking")
        await expect(row).to_contain_text("$3.75")
        assert await visitor.page.evaluate("window.sameDocument")


async def test_an_update_leaves_the_focus_where_it_was(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        await visitor.sign_in(stage.tokens.acme)
        await visitor.live()
        link = visitor.page.get_by_role("link", name="ranking", exact=True).first
        await link.focus()
        await stage.spend("second", "3.00", user="bob")
        await expect(visitor.page.locator("#kpi-today")).to_contain_text("$4.50")
        await expect(link).to_be_focused()


async def test_the_way_from_organization_to_user_needs_no_mouse(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        page = visitor.page
        await visitor.sign_in(stage.tokens.acme)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
        await page.keyboard.press("Enter")
        await tab_to(page, "search")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("project search")
        await tab_to(page, "ranking")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("team ranking")
        await tab_to(page, "acme")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("organization acme")
        await tab_to(page, "ada")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("user ada")
        await expect(page.get_by_role("region", name="Budgets in force")).to_contain_text("each-user-day")


async def test_what_has_the_focus_can_be_seen(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        await visitor.sign_in(stage.tokens.acme)
        for _ in range(25):
            await visitor.page.keyboard.press("Tab")
            at_body, kind, width = await visitor.page.evaluate(OUTLINE)
            assert at_body or (kind, width) == ("solid", "2px")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone_and_can_be_read(stage: Stage, dark: bool) -> None:
    async with visiting(stage.browser, stage.console.url, width=390, height=844, dark=dark) as visitor:
        await visitor.open("/sign-in")
        assert await visitor.sideways() <= 0
        await visitor.sign_in(stage.tokens.acme)
        for path in PATHS:
            await visitor.open(path)
            assert await visitor.sideways() <= 0, path
            assert await visitor.page.evaluate(CONTRASTS) == [], path


async def test_the_theme_follows_the_system_until_somebody_chooses(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url, dark=True) as visitor:
        await visitor.sign_in(stage.tokens.acme)
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = await visitor.page.evaluate(ground)
        button = visitor.page.get_by_role("button", name="Dark theme")
        await expect(button).to_have_attribute("aria-pressed", "true")
        await button.press("Enter")
        light = await visitor.page.evaluate(ground)
        assert light != dark
        await visitor.open("/alerts")
        assert await visitor.page.evaluate(ground) == light
        await visitor.page.emulate_media(color_scheme="light")
        assert await visitor.page.evaluate(ground) == light


async def test_everything_has_a_name_and_pages_have_their_landmarks(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        await visitor.sign_in(stage.tokens.acme)
        for path in PATHS:
            await visitor.open(path)
            snapshot = await visitor.page.locator("body").aria_snapshot()
            lines = [line.strip().removeprefix("- ") for line in snapshot.splitlines()]
            for landmark in ("banner", "main"):
                assert any(line.startswith(landmark) for line in lines), (path, landmark)
            assert 'navigation "Main":' in lines
            assert sum(line.startswith("heading") and "[level=1]" in line for line in lines) == 1
            assert [line for line in lines if NAMELESS.match(line)] == [], path
        await expect(visitor.page.get_by_role("status")).to_have_count(1)


async def test_a_decision_explains_itself(stage: Stage) -> None:
    settings = stage.aggregator.settings
    enforcer = EnforcerSettings(
        kafka=settings.kafka,
        topic_prefix=settings.topic_prefix,
        keys_file=settings.keys_file,
        data_dir=settings.data_dir / "enforcer",
    )
    whose = {"project": "search", "team": "ranking", "user": "ada"}
    async with running_enforcer(enforcer, stage.tokens.admin) as client:
        answer = await client.check(**whose, input_tokens=900_000, max_output_tokens=900_000)
    assert answer.status == 429, answer
    error = answer.body["error"]
    async with visiting(stage.browser, stage.console.url) as visitor:
        page = visitor.page
        await visitor.sign_in(stage.tokens.acme)
        refusal = page.locator("#panel-refusals").get_by_role("link", name="budget exceeded")
        await refusal.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Denied")
        await expect(page.get_by_text(error["message"])).to_be_visible()
        chain = page.get_by_role("group", name="The chain of budgets")
        for budget in BUDGETS:
            await expect(chain.get_by_role("rowheader").filter(has_text=str(budget["name"]))).to_have_count(1)
        await expect(chain.locator("tr.binding")).to_have_count(1)
        await expect(page.get_by_role("heading", name="What would help")).to_be_visible()


async def test_an_alert_is_taken_by_keyboard_on_a_phone_and_every_page_says_by_whom(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url, width=390, height=844) as visitor:
        page = visitor.page
        await visitor.sign_in(stage.tokens.acme)
        await visitor.open("/alerts")
        await visitor.live()
        await expect(page.get_by_text("No threshold was crossed.")).to_be_visible()
        await stage.spend("half", "9.00")
        await expect(page.get_by_role("heading", name="Alerts", level=2)).to_contain_text("unanswered")
        await tab_to(page, "answer")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="I take it from here")).to_be_visible()
        await looks_well(visitor)
        await page.get_by_label("Your name").focus()
        await page.keyboard.type("Ada <script>")
        await page.keyboard.press("Tab")
        await page.keyboard.type("I have stopped the batch")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="I take it from here")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").filter(has_text="It is in the ledger")).to_be_visible()
        await looks_well(visitor)
        address = page.url
        await visitor.open("/alerts")
        await visitor.live()
        await stage.aggregator.advance()
        await expect(page.get_by_text("Ada <script> has it since")).to_be_visible()
        await page.goto(address)
        await expect(page.get_by_role("region", name="Who takes it from here")).to_contain_text(
            "I have stopped the batch"
        )
        await expect(page.get_by_role("button", name="I take it from here")).to_have_count(0)
        await looks_well(visitor)


async def test_a_viewer_of_another_organization_sees_none_of_it(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        await visitor.sign_in(stage.tokens.other)
        await expect(visitor.page.get_by_text("search")).to_have_count(0)
        status, _ = await stage.console.get("/o/acme", stage.tokens.other)
        assert status == 404


async def test_signing_out_ends_it_and_a_wrong_key_is_told(stage: Stage) -> None:
    async with visiting(stage.browser, stage.console.url) as visitor:
        page = visitor.page
        await visitor.sign_in(stage.tokens.acme)
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url(f"{stage.console.url}/sign-in")
        await visitor.open("/o/acme")
        await page.wait_for_url(f"{stage.console.url}/sign-in?next=%2Fo%2Facme")
        await page.get_by_label("API key").fill("sg_viewer_wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("No viewer or admin has this key")
        visitor.problems.clear()  # Chromium logs each answer of 401
        await page.get_by_label("API key").fill(stage.tokens.acme)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("organization acme")


async def test_figures_say_when_they_are_not_live_and_come_back(
    browser: Browser, broker: str, prefix: str, tmp_path: Path
) -> None:
    settings, tokens = console_settings(broker, prefix, tmp_path)
    async with slow_aggregator(settings) as aggregator:
        async with running_console(settings) as console:
            port = int(console.url.rpartition(":")[2])
            await spend(aggregator, "one", "1.00")
            context = visiting(browser, console.url)
            visitor = await context.__aenter__()
            await visitor.sign_in(tokens.acme)
            await expect(visitor.page.locator("#kpi-today")).to_contain_text("$1.00")
            await visitor.live()
        await expect(visitor.page.locator("#link")).to_have_attribute("data-state", "away")
        await spend(aggregator, "two", "1.00")
        async with running_console(settings.model_copy(update={"port": port})):
            await expect(visitor.page.locator("#kpi-today")).to_contain_text("$2.00")
            await visitor.live()
            visitor.problems.clear()  # Chromium logs each connection that was refused
            await context.__aexit__(None, None, None)


async def looks_well(visitor: Visitor) -> None:
    """The page fits, everything on it has a name, and every text can be read."""
    assert await visitor.sideways() <= 0
    assert await visitor.page.evaluate(CONTRASTS) == []
    snapshot = await visitor.page.locator("body").aria_snapshot()
    lines = [line.strip().removeprefix("- ") for line in snapshot.splitlines()]
    assert [line for line in lines if NAMELESS.match(line)] == []
    assert sum(line.startswith("heading") and "[level=1]" in line for line in lines) == 1


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until a link of this name, in what the page is about, has the focus."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.evaluate(LINK_IN_FOCUS) == name:
            return
    raise AssertionError(f"no link {name!r} can be reached by Tab")
