"""A model request as a gateway forwards it (OpenAI's and Anthropic's shapes), and the check that it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from msgspec import DecodeError, ValidationError

from services.core.tokens import bytes_bound

_NO_PROMPT: Final = frozenset({"model", "user", "metadata", "logit_bias", "safety_identifier", "prompt_cache_key"})
_PROSE: Final = ("system", "instructions", "messages", "input", "prompt", "suffix")
_TOOLS: Final = ("tools", "functions")
_POINTERS: Final = ("previous_response_id", "conversation", "mcp_servers", "web_search_options", "container")
_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_COUNTS: Final = ("n", "best_of")
_WINDOW: Final = {"type": "item_reference"}
"""Stands for content that the provider keeps: it can fill the model's window, and no more."""


def decode(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises msgspec's errors, `UnicodeDecodeError` and `RecursionError`.

    A name that is given twice is refused: the model's provider might read the other one.
    """
    try:
        found = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValidationError):
        raise
    except ValueError as error:
        raise DecodeError(str(error)) from error
    if not isinstance(found, dict):
        raise ValidationError("Expected `object`")
    return found


def check_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a check: model, cap, and everything that can be part of the prompt. Raises `ValidationError`."""
    fields: dict[str, Any] = {"messages": _prompt(request)}
    if "model" in request:
        fields["model"] = _text(request, "model")
    tools = [tool for name in _TOOLS for tool in _list(request, name)]
    if tools:
        fields["tools"] = tools
    cap = _output_cap(request)
    if cap is not None:
        fields["max_output_tokens"] = cap
    return fields


def sized(size_bytes: int) -> dict[str, Any]:
    """The fields of a check when only the size of the request is known."""
    return {"input_tokens": bytes_bound(size_bytes), "estimated_from": "chars"}


def _prompt(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whatever may be read by the model: what is not known to be none of it counts."""
    parts: list[dict[str, Any]] = []
    for name, value in request.items():
        if value is None or name in _NO_PROMPT or name in _TOOLS:
            continue
        if name in _POINTERS or (name == "prompt" and isinstance(value, dict)):
            parts.append(_WINDOW)
        parts.append({"content": value} if name in _PROSE else {name: value})
    return parts


def _output_cap(request: Mapping[str, Any]) -> int | None:
    """The most tokens that all completions together may have; None when the request does not say."""
    caps = [_whole(request, name) for name in _CAPS if request.get(name) is not None]
    completions = max([1, *[_whole(request, name) for name in _COUNTS if request.get(name) is not None]])
    prompts = request.get("prompt")
    if isinstance(prompts, list) and not all(isinstance(one, int) for one in prompts):
        completions *= max(1, len(prompts))
    if caps:
        return max(caps) * completions
    if completions > 1:
        raise _invalid("max_completion_tokens", "Missing: give it when one request asks for several completions")
    return None


def _whole(request: Mapping[str, Any], name: str) -> int:
    value = request[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(name, "Expected a whole number")
    return value


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request[name]
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        raise _invalid(name, "Expected `str`")
    return value


def _list(request: Mapping[str, Any], name: str) -> list[Any]:
    value = request.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(name, "Expected `array`")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValidationError(f"`{twice[:64]}` is given twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _invalid(field: str, message: str) -> ValidationError:
    return ValidationError(f"{message} - at `$.{field}`")
