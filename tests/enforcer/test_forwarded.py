"""What is read from a client's request: the model, the cap on all it may produce, and a bound on all it may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import DecodeError, ValidationError

from services.adapters.keys import Principal, Role
from services.adapters.web_errors import ApiError
from services.core.ask import Ask
from services.core.content_limits import content_limits
from services.core.tokens import bytes_bound, data_bound
from services.enforcer.gateway.asking import Forwarded, ask_of, ask_without_body
from services.enforcer.gateway.forwarded import check_fields, decode

ACME = Principal("key-1", Role.EDGE, "acme")
ANY = Principal("key-2", Role.EDGE, "*")
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}}
WINDOW = content_limits("gpt-4o").window


def ask(request: dict[str, Any], /, **said: Any) -> Ask:
    return ask_of(Forwarded(said, "application/json", json.dumps({"model": "gpt-4o", **request}).encode()), ACME)


def tokens(**request: Any) -> int:
    return ask(request).input_tokens


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [{"role": "user", "content": "x" * 500}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 500}]}]},
        {"messages": [], "system": "x" * 500},
        {"messages": [], "system": [{"type": "text", "text": "x" * 500}]},
        {"input": "x" * 500},
        {"input": ["x" * 250, "x" * 250]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 500}]}], "instructions": "hm"},
        {"input": "hm", "instructions": "x" * 500},
        {"prompt": "x" * 500},
        {"prompt": [7] * 500, "max_tokens": 1},
        {"prompt": "hm", "suffix": "x" * 500},
        {"messages": [], "functions": [{"name": "x" * 500, "parameters": SCHEMA}]},
        {"messages": [], "response_format": {"type": "json_schema", "json_schema": {"description": "x" * 500}}},
        {"messages": [], "something_new": {"said": "x" * 500}},
        {"messages": [], "something_new": "x" * 500},
    ],
)
def test_whatever_may_be_in_the_prompt_counts(request_: dict[str, Any]) -> None:
    assert 500 <= tokens(**request_) < WINDOW


def test_tools_count_as_they_do_in_a_check() -> None:
    assert tokens(messages=[], tools=[{"type": "function", "function": SCHEMA}]) > data_bound(SCHEMA) + 1_000
    assert tokens(messages=[], tools=[{"type": "web_search"}]) >= WINDOW


@pytest.mark.parametrize(
    "pointer", [{"previous_response_id": "resp_1"}, {"prompt": {"id": "pmpt_1"}}, {"mcp_servers": [{"name": "x"}]}]
)
def test_what_the_provider_keeps_can_fill_the_window(pointer: dict[str, Any]) -> None:
    assert tokens(input="hm", **pointer) >= WINDOW
    assert tokens(input="hm", previous_response_id=None) < 200


def test_who_the_end_user_is_said_to_be_is_no_matter() -> None:
    assert ask({"messages": [], "user": "carol", "metadata": {"user_id": "carol"}}).user is None
    assert tokens(messages=[], user="x" * 500, metadata={"x": "x" * 500}) < 200


@pytest.mark.parametrize(
    ("request_", "cap"),
    [
        ({"messages": []}, None),
        ({"messages": [], "max_tokens": None}, None),
        ({"messages": [], "max_tokens": 7}, 7),
        ({"messages": [], "max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"input": "hm", "max_output_tokens": 7}, 7),
        ({"messages": [], "max_tokens": 7, "n": 3}, 21),
        ({"prompt": "hm", "max_tokens": 7, "n": 2, "best_of": 5}, 35),
        ({"prompt": ["a", "b"], "max_tokens": 7, "n": 2}, 28),
        ({"prompt": [[1, 2], [3]], "max_tokens": 7}, 14),
        ({"prompt": [1, 2, 3], "max_tokens": 7}, 7),
        ({"messages": [], "n": 1}, None),
    ],
)
def test_the_cap_holds_for_all_completions_together(request_: dict[str, Any], cap: int | None) -> None:
    assert ask(request_).max_output_tokens == cap


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"messages": [], "n": 2}, "max_completion_tokens"),
        ({"prompt": ["a", "b"]}, "max_completion_tokens"),
        ({"messages": [], "max_tokens": -1}, "max_tokens"),
        ({"messages": [], "max_tokens": True}, "max_tokens"),
        ({"messages": [], "max_tokens": 1.5}, "max_tokens"),
        ({"messages": [], "max_tokens": 10**9}, "max_output_tokens"),
        ({"messages": [], "n": "2", "max_tokens": 1}, "n"),
        ({"messages": [], "tools": "all"}, "tools"),
        ({"messages": [], "model": 7}, "model"),
        ({"messages": [], "model": "\ud800"}, "model"),
        ({"messages": [], "model": ""}, "model"),
    ],
)
def test_what_cannot_be_bounded_is_refused(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as refused:
        ask(request_)
    assert (refused.value.status, refused.value.field) == (422, field)


@pytest.mark.parametrize(
    "body",
    [b'{"model":"a","model":"b"}', b'{"messages":[{"content":"a","\\u0063ontent":"b"}]}', b"[]", b'"model"'],
)
def test_two_readers_may_not_read_two_things(body: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":NaN}', b'{"a":1}{}', b'{"a":' + b"1" * 5000 + b"}"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body)


@pytest.mark.parametrize("body", [b'{"model":"\xff"}', b'{"messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}"])
def test_hostile_bodies_are_bad_requests(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        ask_of(Forwarded({}, "application/json", body), ACME)
    assert refused.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["messages", "system", "input", "tools", "prompt", "n", "max_tokens"]), JSON))
def test_any_request_is_asked_about_or_refused(request_: dict[str, Any]) -> None:
    said = [request_.get(name) for name in ("messages", "system", "input", "prompt")]
    bytes_said = sum(len(value.encode()) for value in said if isinstance(value, str))
    found = asked_or_refused(request_)
    assert found in (400, 422) if isinstance(found, int) else found.input_tokens >= bytes_said


def asked_or_refused(request_: dict[str, Any]) -> Ask | int:
    try:
        return ask(request_)
    except ApiError as error:
        return error.status


def test_the_gateways_word_is_above_the_bodys() -> None:
    found = ask({"messages": [], "max_tokens": 7}, model="gpt-4o-mini", max_output_tokens=9, input_tokens=3, user="al")
    assert (found.model, found.max_output_tokens, found.input_tokens, found.user) == ("gpt-4o-mini", 9, 3, "al")
    assert found.estimated_from == "tokens"


def test_an_organizations_own_key_says_which_it_is() -> None:
    said = {"model": "gpt-4o", "input_tokens": 1}
    assert ask_without_body(said, ACME).organization == "acme"
    assert ask_without_body({**said, "organization": "other"}, ACME).organization == "other"  # the desk refuses it
    with pytest.raises(ApiError, match="organization"):
        ask_without_body(said, ANY)


def test_a_body_in_another_language_is_bounded_by_its_size() -> None:
    found = ask_of(Forwarded({"model": "whisper-1"}, "multipart/form-data; boundary=x", b"x" * 900), ACME)
    assert (found.input_tokens, found.estimated_from) == (bytes_bound(900), "chars")
    with pytest.raises(ApiError) as refused:
        ask_of(Forwarded({}, "multipart/form-data; boundary=x", b"x"), ACME)
    assert refused.value.status == 415


def test_without_a_length_there_is_no_bound() -> None:
    with pytest.raises(ApiError) as refused:
        ask_without_body({"model": "gpt-4o"}, ACME)
    assert refused.value.status == 411


@given(JSON.filter(lambda value: isinstance(value, (dict, list))))
def test_the_size_bounds_what_reading_would_find_in_plain_text(value: Any) -> None:
    messages = [{"role": "user", "content": json.dumps(value)}]
    size = len(json.dumps({"model": "gpt-4o", "messages": messages}))
    assert bytes_bound(size) >= len(messages[0]["content"])


def test_fields_without_a_model_leave_it_to_the_gateway() -> None:
    assert "model" not in check_fields({"messages": []})
