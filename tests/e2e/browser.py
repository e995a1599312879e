"""A real Chromium: where it is on this machine, and what every test asks of the pages that it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_MS = 60_000
ADVICE = "no Chromium: run `make browser`, or name one in SPENDGATE_CHROMIUM"


def chromium() -> str:
    """The path of a Chromium. A test that needs one fails without it: a console that nobody looked at is not tested."""
    named = os.environ.get("SPENDGATE_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(ADVICE)
    return found


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A headless browser. Root has no sandbox to run it in."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visitor:
    """A person at a browser; remembers everything that went wrong there."""

    context: BrowserContext
    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors of scripts, refused resources, and requests to anybody else."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", self._requested)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _requested(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.problems.append(f"foreign request: {request.url}")

    async def open(self, path: str) -> None:
        """Go to a page."""
        await self.page.goto(self.url + path)

    async def sign_in(self, token: str) -> None:
        """As a person does: open the console, paste the key, press Enter."""
        await self.open("/")
        await self.page.get_by_label("API key").fill(token)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(f"{self.url}/")

    async def live(self) -> None:
        """Wait until figures follow."""
        await self.page.wait_for_selector("#link[data-state=live]")

    async def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, *, width: int = 1440, height: int = 900, dark: bool = False
) -> AsyncIterator[Visitor]:
    """Somebody with a fresh browser. Afterwards nothing must have gone wrong in it."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(WAIT_MS)
    try:
        visitor = Visitor(context, await context.new_page(), url)
        visitor.watch()
        yield visitor
        assert visitor.problems == []
    finally:
        await context.close()
