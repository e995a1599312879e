"""What an operator can tell the notifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from services.adapters.settings import Settings
from services.notifier.chat import SCHEMES


class NotifierSettings(Settings):
    """Settings of the notifier beside those that all services share."""

    console_url: str | None = Field(None, description="address of the console, for links in messages")
    notifier_url: str | None = Field(None, description="address of this service for people, for links to acknowledge")
    notifier_secret: SecretStr | None = Field(
        None, min_length=32, description="signs webhooks and links; without one, a file is made in the data directory"
    )
    mail_server: SecretStr | None = Field(
        None, description="smtps://user:password@host:465, smtp+starttls://...:587 or smtp://host:25"
    )
    mail_from: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] = Field(
        "spendgate@localhost", description="who e-mails are from"
    )
    notify_schemes: str = Field(
        ",".join(sorted(SCHEMES)), description="apprise's kinds that a policy may name, comma separated"
    )
    notify_private: bool = Field(False, description="allow webhooks to loopback and private addresses")
    notify_within_s: Annotated[float, Field(ge=60, le=30 * 86_400)] = Field(
        3 * 86_400.0, description="seconds after which an alert that nobody was told of is not told any more"
    )
    notify_timeout_s: Annotated[float, Field(gt=0, le=120)] = Field(
        10.0, description="seconds that a receiver is given"
    )
    notify_at_once: Annotated[int, Field(ge=1, le=256)] = Field(16, description="messages on their way at a time")
    operators: str = Field("", description="channels that are told of the pipeline's own health, separated by spaces")
    spool_max_bytes: Annotated[int, Field(ge=1 << 20)] = Field(16 << 20, description="acknowledgements kept on disk")

    @property
    def schemes(self) -> frozenset[str]:
        """What of apprise may be used."""
        return frozenset(filter(None, (part.strip() for part in self.notify_schemes.split(","))))

    @property
    def operator_channels(self) -> tuple[str, ...]:
        """Who runs this installation."""
        return tuple(self.operators.split())

    @property
    def within_ms(self) -> int:
        """How old an alert may be when it is first told."""
        return int(self.notify_within_s * 1000)
