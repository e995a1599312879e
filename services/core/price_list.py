"""The price list: every provider and model of the installed genai-prices package, found by the names people give them.

Source: https://github.com/pydantic/genai-prices, which names the page and the day behind each price. The list is what
came with the package; its updates from the network are never started.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, Provider

from services.core.model_alias import RULES_VERSION, candidates


class PriceList:
    """Providers and their models, with a version that names exactly these prices."""

    def __init__(self, providers: Sequence[Provider], library_version: str) -> None:
        self._providers = list(providers)
        self._library_version = library_version

    @classmethod
    def bundled(cls) -> PriceList:
        """The list of the installed package; loading it takes some 20 ms."""
        from genai_prices.data import providers

        return cls(providers, version("genai-prices"))

    @cached_property
    def version(self) -> str:
        """As in `genai-prices/0.2.3+1a2b3c4d`; it changes whenever any price may have changed."""
        listed = [
            (
                (owner.id, owner.model_match, owner.provider_match, owner.fallback_model_providers),
                [(model.id, model.match, model.prices) for model in owner.models],
            )
            for owner in self._providers
        ]
        digest = hashlib.sha256(repr((RULES_VERSION, unit_data, listed)).encode()).hexdigest()
        return f"genai-prices/{self._library_version}+{digest[:8]}"

    def find(self, provider: str | None, model: str) -> ModelInfo | None:
        """The model under the first of its names that the list knows; None when it knows none."""
        found = self._find(provider, model)
        return None if found is None else found[1]

    def owner(self, model: str) -> str | None:
        """The provider that a model's name alone tells; None when it tells none that has the model."""
        found = self._find(None, model)
        return None if found is None else found[0].id

    def _find(self, provider: str | None, model: str) -> tuple[Provider, ModelInfo] | None:
        for owner_name, model_name in candidates(provider, model, self._is_provider):
            owner = self._owner_of(model_name) if owner_name is None else self._owner(owner_name)
            if owner and (found := owner.find_model(model_name, all_providers=self._providers)):
                return owner, found
        return None

    def _is_provider(self, name: str) -> bool:
        return self._owner(name) is not None

    def _owner(self, name: str) -> Provider | None:
        return find_provider_by_id(self._providers, name)

    def _owner_of(self, model: str) -> Provider | None:
        name = model.lower()
        return next(
            (owner for owner in self._providers if owner.model_match and owner.model_match.is_match(name)), None
        )
