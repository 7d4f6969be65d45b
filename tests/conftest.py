"""What holds for every test module."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no finding: how long an example takes says nothing of what it shows.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="module")
def complaints_stay_in_their_module() -> Iterator[None]:
    """What asyncio says of a forgotten future when that is collected is not heard by another test.

    A test that kills playwright's driver leaves one, and the next reader of stderr got its trace.
    """
    yield
    gc.collect()
