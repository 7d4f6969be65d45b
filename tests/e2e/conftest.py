"""The archives that the readers of these tests visit, of sites that are gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser

from tests.lab import axe as judge
from tests.lab.archive import Archive
from tests.lab.clinic import Clinic, twice_captured
from tests.lab.front_site import FrontSite, front_site
from tests.lab.reader import Served, chromium, served

CAPTURE_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Library:
    """An archive of a site that is not there any more, and where its pages are served."""

    archive: Archive
    site: FrontSite
    served: Served

    def capture_of(self, path: str) -> int:
        """The number of the capture of one page of the site."""
        asked = f"{self.served.site}/en/at/9998/{self.site.url}{path}"
        answer = httpx.get(asked, trust_env=False)
        assert answer.status_code == 302, answer.text
        return int(answer.headers["location"].rpartition("/")[2])


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The front site, captured by a worker through the browser where pages need one."""
    archive = Archive(tmp_path_factory.mktemp("library") / "data")
    with front_site() as site:
        archive.set_up(site.source_toml(engine="auto"))
        archive.run("create-job", "--source", "front")
        with archive.working() as worker:
            archive.wait_until_settled(seconds=CAPTURE_SECONDS, worker=worker)
    with served(archive) as pages:
        yield Library(archive, site, pages)


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """The archive of a site that was there twice and is not any more: nobody may knock there."""
    with (
        twice_captured(tmp_path_factory.mktemp("clinic")) as made,
        socket.create_server(("127.0.0.1", made.port)) as door,
    ):
        door.setblocking(False)
        yield made
        with pytest.raises(BlockingIOError):
            door.accept()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file's readers; each has a profile of its own.

    No longer than a file: while it runs, playwright's event loop is this thread's, and no other
    test could call `asyncio.run`.
    """
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    """The code of axe-core."""
    return judge.script()
