"""The price book and the windows: calls a second on one core, against the least that any code for them must do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from itertools import cycle, islice, product
from random import Random
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

from genai_prices import Usage, calc_price

from services.core.events import from_ms
from services.core.pricing import PriceBook
from services.core.window import WindowKind, window_at

CALLS = 50_000
LIBRARY_CALLS = 500
ROUNDS = 7
NOON_MS = 1_795_521_600_000
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), (None, "openai/gpt-4o")]
ZONES = [ZoneInfo(name) for name in ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")]
START = """
from services.core.pricing import PriceBook
book = PriceBook.bundled()
assert book.version and book.upper_bound("openai", "gpt-4o", 0, input_tokens=1, max_output_tokens=1)
"""

Measure = dict[str, Any]


def measure() -> dict[str, Measure]:
    """Prices, estimates and windows a second, and seconds to the first price: CPU time, best of interleaved rounds."""
    return {
        "prices": _against(_price_all, _multiply_all, CALLS, "prices/s"),
        "estimates": _against(_estimate_all, _multiply_all, CALLS, "estimates/s"),
        "prices_by_genai_prices": _alone(_library_prices_all, LIBRARY_CALLS, "prices/s"),
        "windows": _against(_window_all, _local_time_all, CALLS, "windows/s"),
        "price_book_start": {"value": _start_s(), "unit": "s", "floor": None, "ratio": None},
    }


def _requests(seed: int = 1) -> list[tuple[str | None, str, int, int, int]]:
    random = Random(seed)
    requests = []
    for _ in range(CALLS):
        provider, model = random.choice(MODELS)
        input_tokens = random.randrange(1, 8000)
        cached = random.choice((0, 0, 0, input_tokens // 2))
        requests.append((provider, model, input_tokens, random.randrange(1000), cached))
    return requests


BOOK = PriceBook.bundled()
REQUESTS = _requests()
INSTANTS = [
    (kind, zone, NOON_MS + number * 997_331)
    for number, (kind, zone) in enumerate(islice(cycle(product(WindowKind, ZONES)), CALLS))
]


def _price_all() -> None:
    for provider, model, input_tokens, output_tokens, cached in REQUESTS:
        BOOK.price(
            provider,
            model,
            NOON_MS,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=cached,
            cache_write_tokens=0,
            reasoning_tokens=0,
        )


def _estimate_all() -> None:
    for provider, model, input_tokens, output_tokens, _ in REQUESTS:
        BOOK.upper_bound(provider, model, NOON_MS, input_tokens=input_tokens, max_output_tokens=output_tokens)


def _multiply_all() -> None:
    """What no price book can leave out: find the model's rates, multiply, round once."""
    rates = dict.fromkeys(MODELS, (2500, 1250, 10_000))
    for provider, model, input_tokens, output_tokens, cached in REQUESTS:
        fresh, read, output = rates[provider, model]
        divmod((input_tokens - cached) * fresh + cached * read + output_tokens * output + 500, 1000)


def _library_prices_all() -> None:
    moment = from_ms(NOON_MS)
    for _, model, input_tokens, output_tokens, cached in REQUESTS[:LIBRARY_CALLS]:
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached)
        calc_price(usage, model.removeprefix("openai/"), genai_request_timestamp=moment)


def _window_all() -> None:
    for kind, zone, at_ms in INSTANTS:
        window_at(kind, at_ms, zone)


def _local_time_all() -> None:
    """What no calendar can leave out: the local time of the instant."""
    for _, zone, at_ms in INSTANTS:
        datetime.fromtimestamp(at_ms // 1000, zone)


def _against(work: Callable[[], None], least: Callable[[], None], calls: int, unit: str) -> Measure:
    rounds = [(_cpu_s(work), _cpu_s(least)) for _ in range(ROUNDS)]
    value, floor = (calls / min(seconds) for seconds in zip(*rounds, strict=True))
    return {"value": value, "unit": unit, "floor": floor, "ratio": value / floor}


def _alone(work: Callable[[], None], calls: int, unit: str) -> Measure:
    return {"value": calls / min(_cpu_s(work) for _ in range(ROUNDS)), "unit": unit, "floor": None, "ratio": None}


def _cpu_s(work: Callable[[], None]) -> float:
    started = process_time()
    work()
    return process_time() - started


def _start_s() -> float:
    """From nothing to the first price, in a new process; starting Python itself does not count."""
    return min(_child_cpu_s(START) for _ in range(3)) - min(_child_cpu_s("pass") for _ in range(3))


def _child_cpu_s(code: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
