"""What holds for every test module."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def complaints_stay_in_their_module() -> Iterator[None]:
    """What asyncio says of a forgotten future when that is collected is not heard by another test.

    A test that kills playwright's driver leaves one, and the next reader of stderr got its trace.
    """
    yield
    gc.collect()
