"""What a gateway asks before it calls a model."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from services.core.content_limits import content_limits
from services.core.events import TOKENS_MAX, Dimensions, Name, Tokens
from services.core.tokens import Prompt

Priority = Literal["low", "normal", "high", "critical"]
Source = Literal["tokens", "chars", "messages"]
Detail = Literal["full", "brief"]


class Request(Dimensions, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What is known of a request before it is made, but for the size of its input.

    Without `max_output_tokens` the policy's `default_max_output_tokens` is reserved: send that cap on to the provider.
    A `dry_run` decides and reserves nothing. `estimated_from` says what the size of the input was found from: tokens
    were counted, or characters or messages bounded from above. With `detail` `brief` a plain allow is answered without
    the chain of budgets, but for the one that binds; everything else is told in full all the same.
    """

    provider: Name | None = field(default=None, name="provider")
    model: Name = field(name="model")
    max_output_tokens: Tokens | None = None
    priority: Priority = "normal"
    dry_run: Annotated[bool, Meta(description="decide, but reserve nothing")] = False
    estimated_from: Source = "tokens"
    detail: Detail = "full"


class Ask(Request, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """May this request spend this much? A check whose input is `input_tokens` long, or at most that."""

    input_tokens: Tokens

    def on(self, provider: str | None, model: str) -> Ask:
        """The same request for another model. What was counted is taken for its tokens too."""
        return replace(self, provider=provider, model=model)


class BoundedAsk(Ask, frozen=True, kw_only=True, gc=False):
    """An ask whose `input_tokens` are a bound that depends on the model. Nobody sends one: a check comes to it."""

    prompt: Prompt

    def on(self, provider: str | None, model: str) -> Ask:
        """The same request for another model, its bound found anew."""
        tokens = min(TOKENS_MAX, self.prompt.tokens(content_limits(model)))
        return replace(self, provider=provider, model=model, input_tokens=tokens)
