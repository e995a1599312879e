"""The price book agrees with genai-prices to the nano-dollar, never guesses, and its estimates hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
    Usage,
)
from hypothesis import given
from hypothesis import strategies as st

from services.core.events import from_ms, to_ms
from services.core.money import NANOS_PER_USD, round_half_even
from services.core.price_list import PriceList
from services.core.price_table import compile_prices
from services.core.pricing import ESTIMATE_LASTS_MS, InconsistentUsage, Price, PriceBook

BOOK = PriceBook.bundled()
AUTUMN_MS = to_ms(datetime(2026, 11, 24, 13, 5, tzinfo=UTC))
MODELS = [(provider, model) for provider in providers for model in provider.models]


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """Token counts that can be true; around the thresholds of tiered prices more often than elsewhere."""
    total = draw(st.sampled_from([0, 1, 32_000, 128_000, 128_001, 200_000, 200_001, 256_001]) | st.integers(0, 10**8))
    cache_read = draw(st.integers(0, total))
    cache_write = draw(st.integers(0, total - cache_read))
    output = draw(st.integers(0, 10**8))
    return {
        "input_tokens": total,
        "output_tokens": output,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "reasoning_tokens": draw(st.integers(0, output)),
    }


instants = st.integers(to_ms(datetime(2024, 1, 1, tzinfo=UTC)), to_ms(datetime(2028, 1, 1, tzinfo=UTC)))


def reference(provider: Provider, model: ModelInfo, at_ms: int, usage: dict[str, int]) -> int:
    """What genai-prices itself says, in nano-dollars."""
    counts = {key: count for key, count in usage.items() if key != "reasoning_tokens"}
    with localcontext() as exact:
        exact.prec = 100
        calculated = model.calc_price(
            Usage(output_reasoning_tokens=usage["reasoning_tokens"], **counts),
            provider,
            genai_request_timestamp=from_ms(at_ms),
        )
        numerator, denominator = (calculated.total_price * NANOS_PER_USD).as_integer_ratio()
    return round_half_even(numerator, denominator)


def priced(prices: ModelPrice | list[ConditionalPrice]) -> PriceBook:
    """A book of one model, `m` of `acme`."""
    model = ModelInfo("m", ClauseEquals("m"), prices=prices)
    return PriceBook(PriceList([Provider("acme", "Acme", "", models=[model])], "0"))


def by_tokens(prices: ModelPrice) -> bool:
    """Whether tokens tell the cost; a model listed without a price is free."""
    return not vars(prices) or ("input_mtok" in vars(prices) and "output_mtok" in vars(prices))


def agrees(provider: Provider, model: ModelInfo, at_ms: int, usage: dict[str, int]) -> bool:
    """Compare with the reference; False when the model is not priced by tokens, which the book must then say."""
    price = priced(model.prices).price("acme", "m", at_ms, **usage)
    if not by_tokens(model.get_prices(from_ms(at_ms))):
        assert price is None or not usage["output_tokens"]
        return False
    assert price is not None, f"{provider.id}/{model.id}"
    assert price.total_nanousd == reference(provider, model, at_ms, usage), f"{provider.id}/{model.id}"
    return True


def test_nearly_every_listed_model_agrees_with_genai_prices() -> None:
    usage = {
        "input_tokens": 210_001,
        "output_tokens": 777,
        "cache_read_tokens": 12_345,
        "cache_write_tokens": 6_789,
        "reasoning_tokens": 333,
    }
    agreeing = sum(agrees(provider, model, AUTUMN_MS, usage) for provider, model in MODELS)
    assert agreeing > 0.94 * len(MODELS)


@given(st.sampled_from(MODELS), instants, usages())
def test_any_model_agrees_at_any_time_with_any_usage(
    listed: tuple[Provider, ModelInfo], at_ms: int, usage: dict[str, int]
) -> None:
    agrees(*listed, at_ms, usage)


SPECIAL = [
    (provider, model)
    for provider, model in MODELS
    if isinstance(model.prices, list)
    or any(isinstance(price, TieredPrices) for price in vars(model.prices).values())
    or vars(model.prices).keys() & {"requests_kcount", "output_reasoning_mtok"}
]


@given(st.sampled_from(SPECIAL), instants, usages())
def test_tiered_and_dated_prices_and_fees_agree_too(
    listed: tuple[Provider, ModelInfo], at_ms: int, usage: dict[str, int]
) -> None:
    agrees(*listed, at_ms, usage)


@given(st.sampled_from(MODELS), instants, usages())
def test_the_classes_add_up_and_none_is_negative(
    listed: tuple[Provider, ModelInfo], at_ms: int, usage: dict[str, int]
) -> None:
    price = BOOK.price(listed[0].id, listed[1].id, at_ms, **usage)
    if price is not None:
        classes = (price.input_nanousd, price.cache_read_nanousd, price.cache_write_nanousd, price.output_nanousd)
        assert sum(classes) == price.total_nanousd
        assert min(classes) >= 0
        assert usage["cache_read_tokens"] or not price.cache_read_nanousd
        assert usage["cache_write_tokens"] or not price.cache_write_nanousd
        assert usage["output_tokens"] or not price.output_nanousd


@given(st.sampled_from(MODELS + SPECIAL), instants, usages(), st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_no_request_within_its_caps_costs_more_than_the_estimate(
    listed: tuple[Provider, ModelInfo],
    at_ms: int,
    usage: dict[str, int],
    spare_input: int,
    spare_output: int,
    data: st.DataObject,
) -> None:
    ends_ms = at_ms + data.draw(st.integers(-ESTIMATE_LASTS_MS, ESTIMATE_LASTS_MS))
    price = BOOK.price(listed[0].id, listed[1].id, ends_ms, **usage)
    bound = BOOK.upper_bound(
        listed[0].id,
        listed[1].id,
        at_ms,
        input_tokens=usage["input_tokens"] + spare_input,
        max_output_tokens=usage["output_tokens"] + spare_output,
    )
    if price is not None:
        assert bound is not None
        assert price.total_nanousd <= bound


def test_a_well_known_price() -> None:
    price = BOOK.price(
        "openai", "gpt-4o", AUTUMN_MS, input_tokens=1000, output_tokens=100, cache_read_tokens=200, reasoning_tokens=50
    )
    assert price == Price(3_250_000, 2_000_000, 250_000, 0, 1_000_000)


def test_zero_tokens_are_a_fact_and_cost_nothing() -> None:
    assert BOOK.price("openai", "gpt-4o", AUTUMN_MS, input_tokens=0, output_tokens=0) == Price(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-unheard-of"),
        (None, "unheard-of"),
        ("unheard-of", "gpt-4o"),
        ("openai", "whisper-1"),  # paid by the hour
        ("openai", "tts-1"),  # paid by the character
        ("mistral", "mistral-ocr-latest"),  # paid by the page
    ],
)
def test_an_unknown_price_is_not_zero(provider: str | None, model: str) -> None:
    assert BOOK.price(provider, model, AUTUMN_MS, input_tokens=1000, output_tokens=100) is None
    assert BOOK.price(provider, model, AUTUMN_MS, input_tokens=0, output_tokens=0) is None
    assert BOOK.upper_bound(provider, model, AUTUMN_MS, input_tokens=1000, max_output_tokens=100) is None


def test_output_of_a_model_without_a_price_for_it_is_not_free() -> None:
    def price(output_tokens: int) -> Price | None:
        return BOOK.price("openai", "text-embedding-3-small", AUTUMN_MS, input_tokens=1000, output_tokens=output_tokens)

    assert price(0) == Price(20_000, 20_000, 0, 0, 0)
    assert price(1) is None


def test_a_model_listed_without_a_price_is_free() -> None:
    assert BOOK.price("github-copilot", "gpt-4o", AUTUMN_MS, input_tokens=9, output_tokens=9) == Price(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"input_tokens": -1, "output_tokens": 0}, "negative"),
        ({"input_tokens": 1, "output_tokens": -1}, "negative"),
        ({"input_tokens": 1, "output_tokens": 1, "cache_read_tokens": -1}, "negative"),
        ({"input_tokens": 1, "output_tokens": 1, "cache_write_tokens": -1}, "negative"),
        ({"input_tokens": 1, "output_tokens": 1, "reasoning_tokens": -1}, "negative"),
        ({"input_tokens": 1, "output_tokens": 1, "cache_read_tokens": 2}, "part of input"),
        ({"input_tokens": 3, "output_tokens": 1, "cache_read_tokens": 2, "cache_write_tokens": 2}, "part of input"),
        ({"input_tokens": 1, "output_tokens": 1, "reasoning_tokens": 2}, "part of output"),
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o", "unheard-of"])
def test_counts_that_cannot_be_true_are_refused(model: str, counts: dict[str, int], why: str) -> None:
    with pytest.raises(InconsistentUsage, match=why):
        BOOK.price("openai", model, AUTUMN_MS, **counts)


def test_a_cap_cannot_be_negative() -> None:
    with pytest.raises(InconsistentUsage):
        BOOK.upper_bound("openai", "gpt-4o", AUTUMN_MS, input_tokens=1, max_output_tokens=-1)


def dollars(amount: str) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(amount), output_mtok=Decimal(amount))


def one_token(book: PriceBook, at: str) -> int:
    price = book.price("acme", "m", to_ms(datetime.fromisoformat(at)), input_tokens=1, output_tokens=0)
    assert price is not None
    return price.total_nanousd


def test_a_dated_price_holds_from_its_day_on_whenever_it_is_asked_for() -> None:
    book = priced(
        [
            ConditionalPrice(prices=dollars("1")),
            ConditionalPrice(StartDateConstraint(date(2026, 3, 1)), prices=dollars("2")),
            ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=dollars("3")),
        ]
    )
    for _ in range(2):  # late events ask for old prices after new ones
        assert one_token(book, "2026-02-28T23:59:59.999Z") == 1_000
        assert one_token(book, "2026-03-01T00:00:00Z") == 2_000
        assert one_token(book, "2026-12-31T23:59:59.999Z") == 2_000
        assert one_token(book, "2027-01-01T00:00:00Z") == 3_000


def test_prices_by_the_hour_run_overnight() -> None:
    night = TimeOfDateConstraint(time(16, 30, tzinfo=UTC), time(0, 30, tzinfo=UTC))
    book = priced([ConditionalPrice(prices=dollars("4")), ConditionalPrice(night, prices=dollars("1"))])
    assert one_token(book, "2026-11-24T16:29:59.999Z") == 4_000
    assert one_token(book, "2026-11-24T16:30:00Z") == 1_000
    assert one_token(book, "2026-11-25T00:29:59.999Z") == 1_000
    assert one_token(book, "2026-11-25T00:30:00Z") == 4_000


def test_an_estimate_covers_the_dearer_hour_that_is_about_to_begin() -> None:
    peak = TimeOfDateConstraint(time(1, 0, tzinfo=UTC), time(4, 0, tzinfo=UTC))
    book = priced([ConditionalPrice(prices=dollars("1")), ConditionalPrice(peak, prices=dollars("2"))])

    def bound(at: str) -> int | None:
        at_ms = to_ms(datetime.fromisoformat(at))
        return book.upper_bound("acme", "m", at_ms, input_tokens=1, max_output_tokens=0)

    assert bound("2026-11-24T00:59:59Z") == 2_000
    assert bound("2026-11-24T02:00:00Z") == 2_000
    assert bound("2026-11-24T12:00:00Z") == 1_000
    assert bound("2026-11-24T04:30:00Z") == 2_000  # the usage may turn out to be from before four o'clock
    assert bound("2026-11-24T05:00:00Z") == 1_000


def test_above_a_threshold_all_tokens_are_at_the_price_of_the_tier() -> None:
    tiers = TieredPrices(Decimal(1), [Tier(100, Decimal(3)), Tier(200, Decimal(2))])
    book = priced(ModelPrice(input_mtok=tiers, output_mtok=Decimal(1)))
    for input_tokens, nanousd in ((100, 100_000), (101, 303_000), (200, 600_000), (201, 402_000)):
        price = book.price("acme", "m", AUTUMN_MS, input_tokens=input_tokens, output_tokens=0)
        assert price is not None
        assert price.total_nanousd == nanousd
    # The dearest tier below the cap counts, although the last one is cheaper.
    assert book.upper_bound("acme", "m", AUTUMN_MS, input_tokens=300, max_output_tokens=0) == 900_000


@given(st.decimals(0, 1000, places=18), st.integers(0, 10**8))
def test_prices_finer_than_a_pico_dollar_stay_exact(usd_per_mtok: Decimal, tokens: int) -> None:
    table = compile_prices(ModelPrice(input_mtok=usd_per_mtok, output_mtok=Decimal(0)))
    assert table is not None
    price = table.price(tokens, 0, 0, 0, 0)
    assert price is not None
    numerator, denominator = usd_per_mtok.as_integer_ratio()
    assert price.total_nanousd == round_half_even(numerator * tokens * NANOS_PER_USD, denominator * 1_000_000)


def test_ties_go_to_the_even_nano_dollar() -> None:
    half = priced(dollars("0.0005"))  # half a nano-dollar for a token
    totals = []
    for tokens in range(8):
        price = half.price("acme", "m", AUTUMN_MS, input_tokens=tokens, output_tokens=0)
        assert price is not None
        totals.append(price.total_nanousd)
    assert totals == [0, 0, 1, 2, 2, 2, 3, 4]


def test_an_estimate_is_rounded_up() -> None:
    half = priced(dollars("0.0005"))
    assert half.upper_bound("acme", "m", AUTUMN_MS, input_tokens=1, max_output_tokens=0) == 1
    assert half.upper_bound("acme", "m", AUTUMN_MS, input_tokens=1, max_output_tokens=1) == 1
    assert half.upper_bound("acme", "m", AUTUMN_MS, input_tokens=0, max_output_tokens=0) == 0


def test_an_estimate_counts_with_reasoning_where_that_is_dearer() -> None:
    prices = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2), output_reasoning_mtok=Decimal(5))
    book = priced(prices)
    price = book.price("acme", "m", AUTUMN_MS, input_tokens=0, output_tokens=10, reasoning_tokens=4)
    assert price == Price(32_000, 0, 0, 0, 32_000)
    assert book.upper_bound("acme", "m", AUTUMN_MS, input_tokens=0, max_output_tokens=10) == 50_000


def test_the_version_names_the_prices() -> None:
    library, _, digest = BOOK.version.partition("+")
    assert library.startswith("genai-prices/")
    assert len(digest) == 8
    assert PriceBook(PriceList.bundled()).version == BOOK.version
    cheap, dear = priced(dollars("1")), priced(dollars("2"))
    assert cheap.version != dear.version
    assert cheap.version == priced(dollars("1")).version


def test_the_version_tells_owners_of_the_same_models_apart() -> None:
    model = ModelInfo("m", ClauseEquals("m"), prices=dollars("1"))
    here, there = Provider("a", "A", "", models=[model]), Provider("b", "B", "", models=[])
    empty, full = Provider("a", "A", "", models=[]), Provider("b", "B", "", models=[model])
    assert PriceList([here, there], "0").version != PriceList([empty, full], "0").version


def test_names_from_outside_do_not_fill_the_memory() -> None:
    book = priced(dollars("1"))
    for serial in range(70_000):
        assert book.price("acme", f"nobody-{serial}", AUTUMN_MS, input_tokens=1, output_tokens=1) is None
    assert book.cached < 70_000
    assert one_token(book, "2026-11-24T00:00:00Z") == 1_000
