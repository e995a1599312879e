"""Asks, budgets and chains for tests of the decision."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from services.core.ask import Ask
from services.core.decide import Ruling
from services.core.estimate import Estimate
from services.core.pacing import advance
from services.core.policy import Budget, Grace, RequestCaps, Tiers
from services.core.standing import Limits, Link, Standing
from services.core.window import WindowKind, window_at

NOW_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z
UTC = ZoneInfo("UTC")
NO_CAPS = RequestCaps()
UNPACED = Tiers(8000, 10_000, 10_000)
PACING = Tiers(8000, 9000, 10_000)


def ask(**changed: Any) -> Ask:
    """A request of Alice's, with these fields changed."""
    return Ask(**{"organization": "acme", "user": "alice", "model": "gpt-4o", "input_tokens": 1000, **changed})


def budget(
    limit_nanousd: int,
    *,
    name: str = "company-day",
    on_hard: Literal["deny", "monitor"] = "deny",
    on_unpriced: Literal["allow", "deny"] = "allow",
    window: WindowKind = WindowKind.DAY,
    tiers: Tiers = UNPACED,
    **further: Any,
) -> Budget:
    """A budget on the whole organization, which does not pace unless its tiers say so."""
    return Budget(
        name=name,
        pattern=(),
        window=window,
        limit_nanousd=limit_nanousd,
        alerts_bp=(),
        tiers=tiers,
        on_hard=on_hard,
        on_unpriced=on_unpriced,
        zone=UTC,
        **further,
    )


def link(
    of: Budget,
    *,
    settled: int = 0,
    pending: int = 0,
    held: int = 0,
    share: int | None = None,
    refused: bool = False,
    **further: Any,
) -> Link:
    """The budget's place in a chain, with this much spent and reserved.

    The enforcer may still reserve its `share`, which is all of the budget unless told otherwise; `refused`: it wants
    more, and the ledger has said no.
    """
    at = window_at(of.window, NOW_MS, UTC)
    free = max(0, Limits.of(of, NOW_MS).grace_nanousd - settled - pending - held) if share is None else share
    granted = free + pending + held
    standing = Standing(
        settled_nanousd=settled,
        pending_nanousd=pending,
        held_nanousd=held,
        granted_nanousd=granted,
        wanted_nanousd=granted + refused,
        asked=1,
        answered=1,
        **further,
    )
    return Link.of(of, "org:acme", at, standing)


def take_pace(ruling: Ruling) -> None:
    """The request is made."""
    for standing, interval_us in ruling.paced:
        standing.paced_until_us = advance(standing.paced_until_us, interval_us, ruling.decided_at_ms)


AMOUNTS = st.integers(0, 10**13)
TIERS = st.lists(st.integers(1, 10_000), min_size=3, max_size=3).map(lambda points: Tiers(*sorted(points)))
GRACES = st.builds(
    Grace,
    st.frozensets(st.sampled_from(["low", "normal", "high", "critical"]), min_size=1),
    st.integers(1, 10_000),
    st.integers(0, 10**7),
)
VERDICTS = st.sampled_from(["allow", "deny"])
BUDGETS = st.builds(
    budget,
    AMOUNTS,
    name=st.sampled_from(["company-day", "search-day", "alice-day"]),
    on_hard=st.sampled_from(["deny", "deny", "monitor"]),
    on_unpriced=VERDICTS,
    window=st.sampled_from(WindowKind),
    tiers=TIERS,
    on_unknown=VERDICTS,
    grace=st.none() | GRACES,
)
LINKS = st.builds(
    link,
    BUDGETS,
    settled=AMOUNTS,
    pending=AMOUNTS,
    held=AMOUNTS,
    share=st.none() | AMOUNTS,
    refused=st.booleans(),
    outstanding_nanousd=AMOUNTS,
    grace_from_ms=st.just(0) | st.integers(NOW_MS - 10**7, NOW_MS),
    graced=st.integers(0, 1),
    paced_until_us=st.just(0) | st.integers((NOW_MS - 10**5) * 1000, (NOW_MS + 10**6) * 1000),
)
CHAINS = st.lists(LINKS, max_size=6)
ESTIMATES = st.builds(Estimate, st.none() | AMOUNTS, st.integers(0, 100_000))
CAPS = st.builds(
    RequestCaps,
    max_input_tokens=st.none() | st.integers(0, 2000),
    max_output_tokens=st.none() | st.integers(0, 100_000),
    max_cost_nanousd=st.none() | AMOUNTS,
)
MOMENTS = st.fixed_dictionaries({"fresh": st.booleans(), "final": st.booleans(), "enforcers": st.integers(1, 5)})
"""How much is known when a request is decided."""
