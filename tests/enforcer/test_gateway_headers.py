"""What gateways say in headers, and what they are told: nothing a client wrote can break either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.web_errors import ApiError
from services.core.tokens import bytes_bound
from services.enforcer.gateway.headers import said, told
from tests.enforcer.answers import asked, decision


def test_headers_say_who_and_how_much() -> None:
    headers = [
        ("X-Budget-User", "jürgen"),
        ("x-budget-max-output-tokens", "100"),
        ("x-budget-tag-feature", "chat"),
        ("x-budget-team", ""),
        ("x-budget-reservation", "rsv-forged"),
        ("x-request-id", "7"),
    ]
    assert said(headers) == {"user": "jürgen", "max_output_tokens": 100, "tags": {"feature": "chat"}}


def test_a_size_bounds_the_input_unless_it_was_counted() -> None:
    size = ("x-budget-input-bytes", "100")
    assert said([size]) == {"input_tokens": bytes_bound(100), "estimated_from": "chars"}
    assert said([size, ("x-budget-input-tokens", "7")]) == {"input_tokens": 7}


@pytest.mark.parametrize(
    "headers",
    [
        [("x-budget-user", "alice"), ("X-Budget-User", "bob")],
        [("x-budget-tag-a", "1"), ("x-budget-tag-a", "1")],
        [("x-budget-user", "a\x00b")],
        [("x-budget-user", "a\udcffb")],
        [("x-budget-input-tokens", "-1")],
        [("x-budget-input-tokens", "1e3")],
        [("x-budget-input-tokens", "٣")],
        [("x-budget-input-tokens", "1" * 13)],
    ],
)
def test_headers_that_cannot_be_meant_are_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError) as refused:
        said(headers)
    assert (refused.value.status, refused.value.field) == (422, headers[0][0].lower())


@given(st.text(min_size=1, max_size=256).filter(lambda text: text.isascii() or "\ud800" not in text))
def test_told_headers_are_printable_ascii_whatever_the_model_is_called(model: str) -> None:
    found = told(decision(model=model, warnings=[model * 10]), asked())
    assert all(value.isascii() and value.isprintable() for value in found.values())
    assert found["x-budget-model"]


def test_a_cap_is_told_only_when_the_request_has_none() -> None:
    assert "x-budget-max-output-tokens" not in told(decision(), asked(max_output_tokens=7))
    assert told(decision(), asked())["x-budget-max-output-tokens"] == "1024"
