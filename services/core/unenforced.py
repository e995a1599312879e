"""What a policy asks for that this release keeps and does not act on yet, said to whoever applies it."""

from __future__ import annotations

from schemas.policy import Policy


def unenforced(policy: Policy) -> list[str]:
    """A line for each field in use. Empty when all that is written is acted on."""
    if not policy.contacts:
        return []
    return ["contacts is not acted on yet: alerts are raised on their topic, nobody is notified"]
