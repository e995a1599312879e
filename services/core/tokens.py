"""How many tokens a prompt can be at most: a bound by construction, for money that must not be underestimated.

A token of a byte-level vocabulary stands for at least one byte, so a text is never more tokens than UTF-8 bytes. That
holds for every tokenizer that falls back on bytes: all of OpenAI's, Llama's, Mistral's, Gemma's, Qwen's. Some of them
normalize first, which can lengthen a text (up to eleven times: U+FDFA), so its normal forms are measured too. Anthropic
publishes none of its later tokenizers; the bound holds for Claude if they are of this kind, as the last published was.

No bound by the number of bytes alone can be lower: cuneiform is one token a byte. The price is that others are
overestimated. Bound over true count, the tighter of cl100k and o200k, by `python -m tests.bench.bench_tokens`: English
4.1, Python 4.0, JSON 2.6, Chinese 2.4, hexadecimal 1.7, numbers as CSV 1.6, random Latin-1 1.5, emoji 1.4, spaces 39.
Nothing is charged for that: it is room that a budget must have while the request is in flight. A gateway with a
tokenizer sends `input_tokens` instead, and is exact.

Not in a prompt, and so in no bound: what a provider's own tools (web search, files, code) read in several turns of one
request, and conversations or prompts that the provider keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from unicodedata import normalize

from msgspec import Struct

from services.core.content_limits import ContentLimits

TOKENS_PER_CHAR: Final = 4
"""UTF-8 bytes of a character at most; of one UTF-16 unit, as JavaScript counts, at most three."""

REQUEST_TOKENS: Final = 32
"""What frames a request. OpenAI's cookbook, "How to count tokens with tiktoken": 3; Anthropic's token counting guide
shows 14 for a system prompt and a greeting of 7 together."""

VALUE_TOKENS: Final = 8
"""What frames one message, block, member or element, beyond its JSON. The same cookbook: 4 for a message, and up to 12
for a function, whose JSON has some 60 bytes of punctuation. Anthropic says nothing: 8 is above what was ever seen."""

TOOLS_TOKENS: Final = 1_024
"""What a provider says about tools in general. Anthropic, "Tool use": 159 to 530 by model; OpenAI: about 16."""

PROVIDED_TOOL_TOKENS: Final = 2_048
"""The definition of a tool that providers define. Anthropic: bash 245, text editor 700, computer use 735 and 499."""

IMAGES: Final = ("image", "image_url", "input_image", "computer_screenshot")
_IMAGE_DATA: Final = ("image_url", "source", "file_id")
_FILES: Final = ("document", "file", "input_file", "container_upload", "item_reference", "video_url", "input_video")
_POINTERS: Final = ("url", "file_id", "file_url", "file_data", "file_uri")
_PROSE: Final = ("content", "text", "output", "summary", "refusal", "thinking", "role", "type")
# The decomposed forms: composing what they have never makes it longer, so the other two are no longer than these.
_LONGEST_FORMS: Final = ("NFD", "NFKD")
# Decomposing takes each character for itself, so pieces add up; a whole text of accents would take quadratic time.
_PIECE: Final = 64
_DECLARED_TOOLS: Final = (None, "function", "custom")
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_", "local_shell", "apply_patch")

Object = Mapping[str, Any]


def text_bound(text: str) -> int:
    """The most tokens that a text can be."""
    if text.isascii():
        return len(text)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    longest = [sum([_utf8_bytes(normalize(form, piece)) for piece in pieces]) for form in _LONGEST_FORMS]
    return max(_utf8_bytes(text), *longest)


def bytes_bound(size_bytes: int) -> int:
    """The most tokens that a JSON request of this size can be, when nobody looks inside it.

    Its punctuation outweighs what frames its parts. What it may refer to (images by address, files, a provider's own
    tools) is in no size, and so not in this bound.
    """
    return size_bytes + REQUEST_TOKENS + TOOLS_TOKENS


def _utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def data_bound(value: object) -> int:
    """The most tokens that a JSON value can be, written out as JSON, escaped or not, or as tags. Raises `TypeError`."""
    if value is None or isinstance(value, (bool, int, float)):
        return VALUE_TOKENS + len(repr(value))
    written = json.dumps(value)
    values = 1 + written.count(",") + written.count("[") + written.count("{")
    plain = json.dumps(value, ensure_ascii=False)
    return values * VALUE_TOKENS + max(len(written), text_bound(plain))


class Prompt(Struct, frozen=True, gc=False):
    """What a prompt can be at most, but for what depends on the model: its images, and what it only refers to."""

    known_tokens: int
    images: int = 0
    low_detail_images: int = 0
    refers: bool = False

    def tokens(self, limits: ContentLimits) -> int:
        """The bound for a model. What a prompt only refers to can fill the model's window, and no more."""
        tokens = self.known_tokens + self.images * limits.image + self.low_detail_images * limits.low_detail_image
        return max(tokens, limits.window) if self.refers else tokens


class PromptBound:
    """Adds up what the parts of one prompt can be at most, in tokens."""

    def __init__(self) -> None:
        self._known = REQUEST_TOKENS
        self._images = self._low_detail_images = 0
        self._refers = False

    @property
    def prompt(self) -> Prompt:
        """What has been added so far."""
        return Prompt(self._known, self._images, self._low_detail_images, self._refers)

    def add(self, content: str | Sequence[Any]) -> None:
        """Add messages (OpenAI's chat and responses, Anthropic's), items, or a system prompt."""
        self._known += self._content(content)

    def add_tools(self, tools: Sequence[Object]) -> None:
        """Add the tools that are offered to the model."""
        self._known += TOOLS_TOKENS
        for tool in tools:
            self._known += data_bound(tool)
            kind = tool.get("type")
            if kind not in _DECLARED_TOOLS:
                self._known += PROVIDED_TOOL_TOKENS
                self._refers |= not str(kind).startswith(_CLIENT_TOOLS)

    def _content(self, value: object) -> int:
        match value:
            case str():
                return text_bound(value)
            case list():
                return sum([VALUE_TOKENS + self._content(element) for element in value])
            case dict():
                return self._block(value)
        return data_bound(value)

    def _block(self, block: Object) -> int:
        kind, tokens = block.get("type"), VALUE_TOKENS
        skipped: tuple[str, ...] = ()
        if kind in IMAGES:
            self._add_image(block)
            skipped = _IMAGE_DATA
        elif kind == "document" and _is_inline(block.get("source")):
            tokens, skipped = tokens + self._content(list(block["source"].values())), ("source",)
        elif kind in _FILES or _points(block) or _points(block.get("source")):
            self._refers = True
        for name, value in block.items():
            if name not in skipped:
                tokens += text_bound(str(name)) + (self._content(value) if name in _PROSE else data_bound(value))
        return tokens

    def _add_image(self, block: Object) -> None:
        inner = block.get("image_url")
        detail = block.get("detail", inner.get("detail") if isinstance(inner, dict) else None)
        if detail == "low":
            self._low_detail_images += 1
        else:
            self._images += 1


def _is_inline(source: object) -> bool:
    """Whether a document's text is in the prompt itself."""
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def _points(block: object) -> bool:
    """Whether a block of a kind not known here says where its content is, instead of having it."""
    return isinstance(block, dict) and any(isinstance(block.get(name), str) for name in _POINTERS)
