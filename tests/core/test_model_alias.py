"""Models are found under the names that gateways, clouds and client libraries give them."""

from __future__ import annotations

import pytest
from genai_prices.data import providers
from genai_prices.types import Provider
from hypothesis import given
from hypothesis import strategies as st

from services.core.price_list import PriceList

PRICES = PriceList.bundled()

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-5-sonnet-20241022-v2:0"
VERTEX = "projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4@20250514"


@pytest.mark.parametrize(
    ("provider", "model", "listed"),
    [
        (None, "gpt-4o", "gpt-4o"),
        (None, " GPT-4o ", "gpt-4o"),
        (None, "openai/gpt-4o", "gpt-4o"),
        (None, "azure/gpt-4o", "gpt-4o"),
        ("azure.ai.openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("litellm", "openai/gpt-4o", "gpt-4o"),
        (None, "litellm/openai/gpt-4o", "gpt-4o"),
        (None, "text-embedding-3-small", "text-embedding-3-small"),
        (None, "chatgpt-4o-latest", "chatgpt-4o-latest"),
        (None, "ft:gpt-4o-2024-08-06:acme::id", "ft:gpt-4o"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::id", "ft:gpt-4o-mini"),
        (None, "claude-opus-4-1", "claude-opus-4-1"),
        (None, "anthropic/claude-opus-4-1", "claude-opus-4-1"),
        ("openai", "anthropic/claude-opus-4-1", "claude-opus-4-1"),
        ("anthropic", "claude-3-5-sonnet@20240620", "claude-3-5-sonnet"),
        ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "regional.anthropic.claude-3-haiku-20240307-v1:0"),
        (None, "us.anthropic.claude-3-haiku-20240307-v1:0", "regional.anthropic.claude-3-haiku-20240307-v1:0"),
        (None, "bedrock/us-east-1/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (None, ARN, "regional.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        (None, "models/gemini-2.0-flash", "gemini-2.0-flash"),
        ("gcp.gemini", "models/gemini-2.0-flash", "gemini-2.0-flash"),
        ("gcp.gen_ai", "gemini-2.0-flash", "gemini-2.0-flash"),
        ("gcp.vertex_ai", VERTEX, "claude-4-sonnet"),
        (None, "vertex_ai/claude-sonnet-4@20250514", "claude-4-sonnet"),
        ("x_ai", "grok-4", "grok-4-0709"),
        ("mistral_ai", "mistral-large-latest", "mistral-large"),
        ("groq", "groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("openrouter", "openai/gpt-4o", "openai/gpt-4o"),
        (None, "openrouter/google/gemini-2.5-flash", "google/gemini-2.5-flash"),
        (None, "sonar-pro", "sonar-pro"),
        ("cohere", "command-r", "command-r"),
    ],
)
def test_a_model_is_found_under_its_many_names(provider: str | None, model: str, listed: str) -> None:
    found = PRICES.find(provider, model)
    assert found is not None
    assert found.id == listed


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, "llama-3.3-70b"),  # whose? hosts differ in price
        (None, "meta-llama/Llama-3.3-70B-Instruct"),
        (None, "ft:unheard-of:acme::id"),
        (None, "gpt-0"),
        (None, ""),
        (None, "/"),
        (None, "litellm/"),
        ("", ""),
        ("openai", "nope"),
        ("vllm", "gpt-4o"),  # a namesake on one's own machine
        ("ollama", "llama3"),
    ],
)
def test_a_name_that_does_not_tell_the_price_is_not_guessed(provider: str | None, model: str) -> None:
    assert PRICES.find(provider, model) is None


@given(st.none() | st.text(max_size=30), st.text(max_size=200) | st.text("/@:.-ft", max_size=200))
def test_no_name_breaks_the_search(provider: str | None, model: str) -> None:
    found = PRICES.find(provider, model)
    assert found is None or found.id


@pytest.mark.parametrize("provider", providers, ids=lambda provider: provider.id)
def test_what_the_price_list_finds_by_itself_is_found_as_it_would(provider: Provider) -> None:
    for model in provider.models:
        assert PRICES.find(provider.id, model.id) is provider.find_model(model.id, all_providers=providers)
