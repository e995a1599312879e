"""What the enforcer counts and times of its claims."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from math import inf

from services.adapters.clock import steady_ms
from services.adapters.metrics import Metrics
from services.core.events import AllowanceClaimed
from services.enforcer.engine import Engine


class ClaimMeter:
    """The bound metrics of one enforcer's claims."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent = metrics.counter("spendgate_claims_total")
        self._wait = metrics.histogram("spendgate_claim_wait_seconds")
        self._unanswered = metrics.counter("spendgate_claims_unanswered_total")

    def said(self, claims: Iterable[AllowanceClaimed]) -> None:
        """Shares of so many balances were claimed or given back."""
        self._sent.inc(sum(len(claim.data.claims) for claim in claims))

    def waited(self, seconds: float, *, answered: bool) -> None:
        """A check has waited for an answer of the ledger, and whether one came."""
        self._wait.observe(seconds)
        if not answered:
            self._unanswered.inc()

    def watch(self, engine: Engine) -> None:
        """Show what the engine has; its partitions are known by now."""
        gauge = self._metrics.gauge
        gauge("spendgate_shares").set_function(lambda: len(engine.wants.known))
        gauge("spendgate_shares_nanousd").set_function(engine.wants.free_nanousd)
        for partition in range(engine.partitions or 0):
            label = str(partition)
            gauge("spendgate_lease_age_seconds", partition=label).set_function(partial(_stale_s, engine, partition))
            alive = gauge("spendgate_enforcers_alive", partition=label)
            alive.set_function(partial(engine.registry.alive, partition))


def _stale_s(engine: Engine, partition: int) -> float:
    age_ms = engine.stale_ms(partition, steady_ms())
    return inf if age_ms is None else age_ms / 1000
