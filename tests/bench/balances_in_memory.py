"""How much memory a million live balances take: run in a process of its own, prints MiB of resident growth."""

from __future__ import annotations

import gc
from pathlib import Path

import msgspec

from services.core.balance import Balance
from services.core.pricing import PriceBook
from services.core.state import LedgerState

BALANCES = 1_000_000
WINDOWS = ("hour:2026-11-24T12:00+00:00", "day:2026-11-24", "month:2026-11")
PAGE_MIB = 4096 / 2**20


def fill(balances: int) -> LedgerState:
    """A state restored from a changelog of the balances of many users, each with amounts of its own."""
    state = LedgerState(0, PriceBook.bundled())
    for number in range(balances):
        user, window = divmod(number, len(WINDOWS))
        key = f"org:acme-{user % 100}/user:user-{user:07d}@{WINDOWS[window]}"
        balance = Balance(settled_nanousd=10**9 + number, requests=300 + number % 1000, offset=10_000 + number)
        state.restore_balance(key, msgspec.json.encode(balance))
    return state


def resident_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB


if __name__ == "__main__":
    fill(1000)
    before = resident_mib()
    state = fill(BALANCES)
    gc.collect()
    assert len(state.tables) == BALANCES
    print(resident_mib() - before)
