"""How far this enforcer has followed the ledger, and how far the ledger has followed it."""

from __future__ import annotations

from services.core.effects import Position
from services.core.events import from_ms
from services.enforcer.answers import EnforcerLine, Enforcers, PartitionPosition, Positions
from services.enforcer.engine import Engine


def positions_of(engine: Engine, steady_ms: int) -> Positions:
    """Every partition of the ledger as it is known here."""
    return Positions(
        enforcer=engine.identity,
        restored=engine.standings.restored,
        reservations=len(engine.reservations),
        shares=len(engine.wants.known),
        partitions=[_partition(engine, partition, steady_ms) for partition in range(engine.partitions or 0)],
    )


def enforcers_of(engine: Engine) -> Enforcers:
    """Every enforcer that the ledger knows."""
    clock_ms = max((found.clock_ms for found in engine.standings.positions.values()), default=0)
    lines = [
        EnforcerLine(
            enforcer=name,
            heard_at=from_ms(max(entry.alive_at_ms for entry in entries)),
            silent_ms=max(0, clock_ms - min(entry.alive_at_ms for entry in entries)),
            reclaim_after_ms=entries[0].reclaim_after_ms,
            reclaimed=any(entry.reclaimed for entry in entries),
            own=name == engine.identity,
        )
        for name, entries in engine.registry.all().items()
    ]
    return Enforcers(enforcers=sorted(lines, key=lambda line: (line.heard_at, line.enforcer), reverse=True))


def _partition(engine: Engine, partition: int, steady_ms: int) -> PartitionPosition:
    found = engine.standings.positions.get(partition, Position())
    return PartitionPosition(
        partition=partition,
        offset=found.offset,
        charges=found.charges,
        clock=from_ms(found.clock_ms) if found.clock_ms else None,
        beat=engine.leases.beats.get(partition),
        stale_ms=engine.stale_ms(partition, steady_ms),
        leased=engine.leases.is_fresh(partition, steady_ms),
        enforcers=engine.registry.alive(partition),
    )
