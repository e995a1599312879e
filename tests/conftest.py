"""What every test shares: reproducible property tests, and event loops like those of the services."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("SPENDGATE_HYPOTHESIS", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run cheap tests first: a broken rule shows in seconds, not after the broker has started."""
    expensive = ["integration", "e2e"]
    items.sort(key=lambda item: next((n for n, name in enumerate(expensive, 1) if name in item.path.parts), 0))
