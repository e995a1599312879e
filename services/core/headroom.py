"""How much more of a budget an enforcer wants than it needs: half a minute's worth, and a fair part of what is left."""

from __future__ import annotations

from typing import Final

HEADROOM_MS: Final = 30_000
"""How long an enforcer can go on with its share before it has to claim again."""
QUANTUM_PARTS: Final = 100
"""An enforcer that knows no rate yet wants this part of the limit."""
SHORTEST_MS: Final = 1_000
"""A rate that is measured over less than this says nothing of the next half minute."""


def recent(taken_nanousd: int, elapsed_ms: int) -> int:
    """What half a minute takes at the rate of what was taken in a stretch of time; nano-dollars."""
    return max(0, taken_nanousd) * HEADROOM_MS // max(SHORTEST_MS, elapsed_ms)


def headroom(recent_nanousd: int, limit_nanousd: int, free_nanousd: int, enforcers: int) -> int:
    """What an enforcer wants beyond what it holds and spent, in nano-dollars: a quantum at least, while there is room.

    `free_nanousd`: the room left in the budget, and what is still free of the enforcer's own share, so that neither
    claiming nor giving back changes the answer. All `enforcers` alive together leave half of it to whoever needs it.
    """
    wish = max(recent_nanousd, limit_nanousd // QUANTUM_PARTS)
    return max(0, min(wish, free_nanousd // (2 * max(1, enforcers))))


def is_low(share_nanousd: int, headroom_nanousd: int) -> bool:
    """Whether it is time to claim, before a request has to wait for it."""
    return share_nanousd * 2 < headroom_nanousd


def excess(share_nanousd: int, headroom_nanousd: int) -> int:
    """What to give back: what is beyond the headroom, once the share is more than twice that; nano-dollars."""
    return share_nanousd - headroom_nanousd if share_nanousd > 2 * headroom_nanousd else 0
