"""What tests of whole stacks share: services that are patient with a machine that is slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

PATIENCE = {"SPENDGATE_APPLY_WAIT_S": "25"}
"""A policy is to be in force when it is answered, however long the aggregator takes."""


@pytest.fixture(scope="session", autouse=True)
def patient_services() -> Iterator[None]:
    """Every service of these tests inherits this environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PATIENCE.items():
            patch.setenv(name, value)
        yield
