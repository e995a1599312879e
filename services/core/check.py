"""The body of a check as callers write it, and the ask that it is: with its input counted, or bounded from above."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, ValidationError

from services.core.ask import Ask, BoundedAsk, Request, Source
from services.core.content_limits import content_limits
from services.core.events import TOKENS_MAX, Tokens
from services.core.tokens import TOKENS_PER_CHAR, Prompt, PromptBound

Characters = Annotated[int, Meta(ge=0, le=TOKENS_MAX // TOKENS_PER_CHAR)]
Objects = list[dict[str, Any]]

WAYS = ("input_tokens", "input_chars", "messages")


class Check(Request, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """May this request spend this much? Say how long its input is in exactly one of three ways, best first.

    `input_tokens`: counted by the caller, who says in `estimated_from` if they are an estimate of its own.
    `messages`: the request's own, with `system` and `tools`: OpenAI's `messages` or `input` (and `instructions`), or
    Anthropic's; they are bounded from above, two to four times too high for most text, and not kept. A response schema
    counts like a tool. `input_chars`: its characters, at four tokens each, so many times too high.
    """

    input_tokens: Tokens | None = None
    input_chars: Characters | None = None
    messages: str | Objects | None = None
    system: str | Objects | None = None
    tools: Objects | None = None

    def ask(self) -> Ask:
        """What is asked. Raises `ValidationError`, with the path of the field, unless the input is given in one way."""
        self._require_one_way()
        if self.input_tokens is not None:
            return self._ask(self.input_tokens, self.estimated_from)
        if self.input_chars is not None:
            return self._ask(self.input_chars * TOKENS_PER_CHAR, "chars")
        prompt = self._prompt()
        tokens = prompt.tokens(content_limits(self.model))
        if tokens > TOKENS_MAX:
            raise _refused("messages", f"Up to {tokens} tokens, expected at most {TOKENS_MAX}")
        return BoundedAsk(**self._request(tokens, "messages"), prompt=prompt)

    def _require_one_way(self) -> None:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if not given:
            raise _refused("input_tokens", "Missing: give one of `input_tokens`, `input_chars` and `messages`")
        if len(given) > 1:
            raise _refused(
                given[1], f"Only one of `input_tokens`, `input_chars` and `messages`, and `{given[0]}` is given"
            )
        for name in ("system", "tools"):
            if getattr(self, name) is not None and self.messages is None:
                raise _refused(name, f"Only with `messages`: `{given[0]}` is to include it")

    def _prompt(self) -> Prompt:
        bound = PromptBound()
        try:
            for content in (self.system, self.messages):
                if content is not None:
                    bound.add(content)
            if self.tools is not None:
                bound.add_tools(self.tools)
        except TypeError as error:
            raise _refused("messages", f"Expected what JSON can say: {error}") from error
        return bound.prompt

    def _ask(self, input_tokens: int, source: Source) -> Ask:
        return Ask(**self._request(input_tokens, source))

    def _request(self, input_tokens: int, source: Source) -> dict[str, Any]:
        """The fields that an ask has in common with this."""
        fields = {name: getattr(self, name) for name in Request.__struct_fields__}
        return fields | {"input_tokens": input_tokens, "estimated_from": source}


class AskDecoder:
    """Decodes checks, whichever way they say how long the input is; for JSON and MessagePack alike."""

    def __init__(
        self,
        counted: msgspec.json.Decoder[Ask] | msgspec.msgpack.Decoder[Ask],
        any_way: msgspec.json.Decoder[Check] | msgspec.msgpack.Decoder[Check],
    ) -> None:
        self._counted, self._any_way = counted, any_way

    def decode(self, body: bytes, /) -> Ask:
        """The ask in a body. Raises msgspec's errors, and `RecursionError`, as its decoders do."""
        try:
            return self._counted.decode(body)  # what a busy gateway sends costs nothing more
        except ValidationError:
            return self._any_way.decode(body).ask()


def _refused(field: str, message: str) -> ValidationError:
    return ValidationError(f"{message} - at `$.{field}`")
