"""An installed archive, with its services running under a systemd of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.installed import Installed, installed
from tests.lab.site import Site, serving

PAGES = 40


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES, nasty=False, delay=0.2) as running:
        yield running


@pytest.fixture
def archive() -> Iterator[Installed]:
    with installed() as made:
        yield made
