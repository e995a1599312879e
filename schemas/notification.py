"""What the notifier tells of itself: who was told of what, and how that went."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.envelope import Data
from schemas.fields import Count, InstantMs, Name

Channel = Annotated[str, Field(min_length=1, max_length=256)]
Detail = Annotated[str, Field(max_length=1024)]


class Notification(Data):
    """One alert told to one channel, or not: `notification` follows from the alert, the channel and the step.

    `step` 0 are those who are told first, 1 and on those who are next while nobody answers. `state`: `sent`; `dead`,
    given up after `attempts`; `dropped`, not needed any more, or not to be sent. `channel` is without its secrets.
    `message` is the idempotency key of what was sent; alerts that went together share it.
    """

    notification: Name
    organization: Name
    alert: Name
    channel: Channel
    step: Annotated[int, Field(ge=0, le=16)]
    state: Literal["sent", "dead", "dropped"]
    attempts: Count = 0
    message: Name | None = None
    detail: Detail = ""
    at_ms: InstantMs
