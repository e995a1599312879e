"""What an operator can tell the console."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.adapters.settings import Settings


class ConsoleSettings(Settings):
    """Settings of the console beside those that all services share."""

    session_h: Annotated[float, Field(gt=0, le=720)] = Field(
        12.0, description="hours until a browser has to sign in again"
    )
    secure_cookies: bool = Field(
        default=False, description="send cookies over HTTPS only although the console serves HTTP: a proxy has the TLS"
    )
    streams_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500, description="pages and programs that may follow live figures at once"
    )
    history_timeout_s: Annotated[float, Field(gt=0, le=120)] = Field(
        5.0, description="seconds that a page waits for ClickHouse before it goes without"
    )
