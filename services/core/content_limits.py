"""The most that one image, or whatever a prompt only refers to, can add to a request's input, by model."""

from __future__ import annotations

from typing import Final, NamedTuple


class ContentLimits(NamedTuple):
    """Input tokens, as they are billed.

    `image`: one image at its dearest; `low_detail_image`: one sent with `detail: low`. `window`: the whole context,
    which a provider refuses to exceed: the only bound for what is not in the prompt itself, such as a PDF.
    """

    image: int
    low_detail_image: int
    window: int


TILES_MAX: Final = 8
"""Tiles of 512 pixels in what is left of an image of any shape that was scaled to 2048 x 768 (OpenAI, images guide)."""

# Read in November 2026. OpenAI, "Images and vision": tiles at a base plus a price each; patches, at most 1,536 times a
# multiplier of at most 2.46 up to GPT-4.1, at most 10,000 since GPT-5.4. Anthropic, "Vision": patches of 28 pixels, at
# most 4,784. Windows are the largest of the family in the models' reference pages.
_FAMILIES: Final = (
    # GPT-4o mini bills images, and so pages of files, at 33.34 times their tokens: its window of 128,000 times that.
    ("gpt-4o-mini", ContentLimits(2_833 + 5_667 * TILES_MAX, 2_833, 4_267_520)),
    ("gpt-4o", ContentLimits(85 + 170 * TILES_MAX, 85, 128_000)),
    ("gpt-4.1", ContentLimits(3_779, 3_779, 1_047_576)),
    ("gpt-5", ContentLimits(10_000, 10_000, 1_050_000)),
    ("claude", ContentLimits(4_784, 4_784, 1_000_000)),
)

UNKNOWN: Final = ContentLimits(
    image=max(limits.image for _, limits in _FAMILIES),
    low_detail_image=max(limits.image for _, limits in _FAMILIES),
    window=max(limits.window for _, limits in _FAMILIES),
)
"""A model that no documentation was read for is taken for the dearest of those for which it was."""


def content_limits(model: str) -> ContentLimits:
    """The limits of a model by whatever name gateways give it: its family's name is somewhere in it."""
    name = model.lower()
    return next((limits for family, limits in _FAMILIES if family in name), UNKNOWN)
