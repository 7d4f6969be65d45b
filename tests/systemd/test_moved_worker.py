"""A worker that moved to another machine stays down on the old one, whose steward goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.installed import Installed, installed
from tests.lab.processes import wait_for
from tests.lab.site import Site

WORKER = "healtharchive-worker.service"


@pytest.fixture
def quick() -> Iterator[Installed]:
    """An archive whose steward starts at once what is down."""
    with installed(REPAY_SECONDS="1") as made:
        yield made


def test_a_steward_starts_no_worker_whose_unit_is_disabled(quick: Installed, site: Site) -> None:
    quick.systemctl("disable", "--now", WORKER)
    quick.add_job(site.source_toml())
    # Whoever ends this pause starts a worker that is down in the same round.
    quick.run("worker", "pause", "--reason", "to be over at once", "--for", "1s")
    wait_for(lambda: quick.events("resumed"), what="the steward looked", seconds=60.0, every=0.5)
    said = quick.run("steward", "run", "services", "--dry-run")
    assert f"but not now: {WORKER} is disabled" in said
    assert not quick.is_up(WORKER)
    assert quick.events("start") == []

    quick.systemctl("enable", WORKER)  # and nobody starts it but the steward
    quick.wait_until_up(WORKER)
    (started,) = quick.events("start")
    assert "asks systemd for it" in started["why"]
