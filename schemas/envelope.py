"""The CloudEvents 1.0 envelope that every event travels in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from schemas.fields import Instant, Name, Text


class Data(BaseModel):
    """What an event says. Strict: no value is guessed from another type, and no attribute is unknown.

    Attributes that other systems know too carry their names in OpenTelemetry's GenAI conventions as aliases.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CloudEvent(BaseModel):
    """`source` and `id` together name an event: sent twice, it counts once. `time` is when it happened.

    CloudEvents lets anybody add attributes to an envelope (`traceparent`, `dataschema`): they are read and not kept.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    specversion: Literal["1.0"]
    id: Name
    source: Name
    time: Instant
    subject: Text | None = None

    @property
    def organization(self) -> str:
        """Whose event it is; empty for the few types that belong to no organization."""
        return getattr(self.__dict__["data"], "organization", "") or ""

    def to_wire(self) -> bytes:
        """The canonical JSON of this event: declared order, defaults left out, amounts and instants as written."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_defaults=True)

    @classmethod
    def type_name(cls) -> str:
        """The event type, such as `spendgate.usage.recorded.v1`."""
        annotation: Any = cls.model_fields["type"].annotation
        (name,) = annotation.__args__
        return str(name)
