"""The names that gateways give to models and providers, as the price list knows them.

A model is looked up under each candidate in turn; the first one known counts. Sources of the names: OpenTelemetry's
`gen_ai.provider.name`, LiteLLM's `provider/model`, Amazon Bedrock's model ids, inference profiles and ARNs, Vertex AI's
resource names, OpenAI's fine-tuned models. A name that does not say who serves the model (an open-weights model without
a provider) has no candidate that fits, and so no price: hosts differ in price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

RULES_VERSION: Final = 1
"""Part of the price version: raise it when a change here, or to the compiled tables, can change a price."""

_PROVIDERS: Final = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "perplexity-ai": "perplexity",
    "x_ai": "x-ai",
    "z-ai": "zai",
}
"""Names of providers that the price list's own matching does not know, or mistakes for another's."""

_ROUTERS: Final = frozenset({"", "gateway", "helicone", "litellm", "litellm_proxy", "portkey", "proxy", "unknown"})
"""Providers that serve nothing themselves: the model's name says who does."""

_OWNERS: Final = (
    (re.compile(r"arn:aws[a-z-]*:bedrock:"), "aws"),
    (
        re.compile(r"(?:[a-z-]+\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|stability)\."),
        "aws",
    ),
    (re.compile(r"ft:|chatgpt-|text-embedding-(?:3-|ada-)"), "openai"),
    (re.compile(r"models/|publishers/|projects/[^/]+/locations/|text-embedding-00|gemini-"), "google"),
    (re.compile(r"sonar(?:-|$)"), "perplexity"),
    (re.compile(r"embed-"), "cohere"),
)
"""Models whose form says who serves them, where no provider is named."""

Known = Callable[[str], bool]


def candidates(provider: str | None, model: str, known: Known) -> Iterator[tuple[str | None, str]]:
    """Provider and model to look up, the likeliest first; without a provider, the price list must tell it by the model.

    `known` says whether a name is that of a provider in the price list.
    """
    model = model.strip()
    named = _provider(provider or "")
    if named not in _ROUTERS:
        yield from _under(named, model)
    prefix, separator, rest = model.partition("/")
    prefixed = _provider(prefix)
    if separator and prefixed in _ROUTERS:
        yield from candidates(None, rest, known)
        return
    if separator and known(prefixed):
        yield from _under(prefixed, rest)
        return
    if named not in _ROUTERS:
        return
    owner = next((owner for form, owner in _OWNERS if form.match(model.lower())), None)
    if owner is None:
        yield None, model
    else:
        yield from _under(owner, model)


def _provider(name: str) -> str:
    name = name.strip().lower()
    return _PROVIDERS.get(name, name)


def _under(provider: str, model: str) -> Iterator[tuple[str, str]]:
    """The model as it is, then without the parts of a path before it, then with Vertex's `@` as a dash."""
    yield provider, model
    rest = model
    while "/" in rest:
        rest = rest.partition("/")[2]
        yield provider, rest
    if "@" in rest:
        yield provider, rest.replace("@", "-")
