"""The offline sum: genai-prices' own decimals, rounded once, equal to the integers of the services."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.cast import MODELS, Request, assign
from services.cli.reconcile import Sums, cost_nanousd, recompute
from services.cli.trace import TraceRow
from services.core.events import to_ms
from services.core.pricing import PriceBook

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
BOOK = PriceBook.bundled()


def request(model: str, input_tokens: int, output_tokens: int) -> Request:
    (made,) = assign([TraceRow("code", 1, 0, input_tokens, output_tokens)], seed=1, model=model)
    return made


@given(st.sampled_from(MODELS), st.integers(0, 1_000_000), st.integers(0, 100_000))
def test_it_is_what_the_price_book_says_without_sharing_its_code(model: str, inputs: int, outputs: int) -> None:
    made = request(model, inputs, outputs)
    price = BOOK.price(made.provider, model, to_ms(AT), input_tokens=inputs, output_tokens=outputs)
    assert price is not None
    assert cost_nanousd(made, AT) == price.total_nanousd


def test_a_known_price() -> None:
    assert cost_nanousd(request("gpt-4o", 1000, 100), AT) == 3_500_000
    assert list(recompute([request("gpt-4o", 1000, 100)] * 2, AT)) == [3_500_000, 3_500_000]


def test_a_model_nobody_knows_is_an_error_and_not_zero() -> None:
    with pytest.raises(LookupError):
        cost_nanousd(request("no-such-model", 1, 1), AT)


def test_sums_agree_only_to_the_nano_dollar() -> None:
    sums = Sums(offline=5, balances=5, clickhouse_raw=5, clickhouse_rollup=5)
    assert sums.equal
    assert not replace(sums, clickhouse_rollup=6).equal
