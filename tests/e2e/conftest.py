"""The real parts of the integration tests, with an enforcer and models for real gateways to stand between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.guarded import Guarded, guarded
from tests.e2e.patience import patient_services
from tests.integration.conftest import broker, prefix, stack_folder, workers

__all__ = ["behind", "broker", "patient_services", "prefix", "stack_folder", "workers"]


@pytest.fixture
async def behind(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    """An enforcer with a policy, and models."""
    async with guarded(broker, prefix, tmp_path) as found:
        yield found
