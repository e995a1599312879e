"""The price of one request, by token class, and which token counts have none because they cannot be true."""

from __future__ import annotations

from msgspec import Struct


class InconsistentUsage(ValueError):
    """Token counts that cannot be true together; the message says which."""


class Price(Struct, frozen=True, gc=False):
    """What a request costs, in nano-dollars. The four classes add up to the total, which is rounded once, half-even.

    Input is what was neither read from nor written to a cache, and a fee for the request itself; output includes
    reasoning.
    """

    total_nanousd: int
    input_nanousd: int
    cache_read_nanousd: int
    cache_write_nanousd: int
    output_nanousd: int


def check_counts(
    input_tokens: int,
    output_tokens: int,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> None:
    """Raise InconsistentUsage when a part is larger than its whole, or a count negative."""
    if min(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens) < 0:
        raise InconsistentUsage("a token count is negative")
    if cache_read_tokens + cache_write_tokens > input_tokens:
        raise InconsistentUsage(
            f"tokens read from the cache ({cache_read_tokens}) and written to it ({cache_write_tokens}) are part of "
            f"input tokens and cannot exceed them ({input_tokens})"
        )
    if reasoning_tokens > output_tokens:
        raise InconsistentUsage(
            f"reasoning tokens ({reasoning_tokens}) are part of output tokens and cannot exceed them ({output_tokens})"
        )
