"""A clinic's small site that was captured twice, with changed words, and then went away.

Its pages have a picture, a style sheet and a script that writes a sentence, in English and French.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.archive import Archive
from tests.lab.front.pictures import png
from tests.lab.reader import Served, served
from tests.lab.small_site import Answer, answering

CAPTURE_SECONDS = 120.0
CODE = "clinic"
NAME = "The lab's clinic"


@dataclass(frozen=True, slots=True)
class ClinicPage:
    """A page: what it is found by, what it says in each edition, and what its script writes."""

    path: str
    language: str
    title: str
    query: str
    editions: tuple[str, str]
    scripted: str
    next_path: str
    next_link: str

    def html(self, edition: int) -> bytes:
        """The page as the clinic serves it; the script's sentence is not in it."""
        return (
            f'<!doctype html><html lang="{self.language}"><head><meta charset="utf-8">'
            f'<title>{self.title}</title><link rel="stylesheet" href="/style.css"></head><body>'
            f"<main><h1>{self.title}</h1><p>{self.editions[edition]}</p>"
            f'<p id="written" data-words="{self.scripted}"></p>'
            '<img src="/picture.png" alt="A measuring glass" width="64" height="64">'
            f'<p><a href="{self.next_path}">{self.next_link}</a></p></main>'
            '<script src="/script.js"></script></body></html>'
        ).encode()


PAGES = {
    "en": ClinicPage(
        path="/en/measles",
        language="en",
        title="Measles vaccine",
        query="measles vaccine",
        editions=(
            "Every child is given two doses of the measles vaccine, the first one at one year.",
            "Every child is given three doses of the measles vaccine, the first one at six months.",
        ),
        scripted="A script counted the doses that were given today.",
        next_path="/en/hours",
        next_link="Opening hours",
    ),
    "fr": ClinicPage(
        path="/fr/rougeole",
        language="fr",
        title="Vaccin contre la rougeole",
        query="vaccin rougeole",
        editions=(
            "Chaque enfant reçoit deux doses du vaccin contre la rougeole, la première à un an.",
            "Chaque enfant reçoit trois doses du vaccin contre la rougeole, la première à 6 mois.",
        ),
        scripted="Un script a compté les doses données ce jour.",
        next_path="/en/hours",
        next_link="Heures d’ouverture",
    ),
}
HOURS = ClinicPage(
    path="/en/hours",
    language="en",
    title="Opening hours",
    query="hours",
    editions=("The clinic opens on Mondays.", "The clinic opens on Mondays."),
    scripted="A script knows that it is open now.",
    next_path="/en/measles",
    next_link="Measles vaccine",
)
STYLE = b"body { margin: 2rem; font-family: sans-serif } h1 { color: rgb(0, 80, 60) }"
SCRIPT = b"""const line = document.getElementById("written");
line.textContent = line.dataset.words;
"""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The archive of both editions, and where it is served. `port` is where the site was."""

    url: str
    port: int
    archive: Archive
    served: Served


@contextmanager
def twice_captured(directory: Path) -> Iterator[Clinic]:
    """Both editions captured by a worker, the site gone, the archive served."""
    archive = Archive(directory / "data")
    edition = 0

    def answer(host: str, path: str) -> Answer:
        links = "".join(f'<a href="{each.path}">{each.title}</a>' for each in PAGES.values())
        files = {
            "/": Answer(links.encode()),
            "/style.css": Answer(STYLE, headers=(("Content-Type", "text/css"),)),
            "/script.js": Answer(SCRIPT, headers=(("Content-Type", "text/javascript"),)),
            "/picture.png": Answer(png("clinic", 64, 64), headers=(("Content-Type", "image/png"),)),
            **{each.path: Answer(each.html(edition)) for each in (*PAGES.values(), HOURS)},
        }
        return files.get(path, Answer(b"no", 404))

    with answering(answer) as site:
        archive.set_up(_source_toml(site.url))
        for edition in (0, 1):  # noqa: B007 - the site answers by it
            archive.run("create-job", "--source", CODE)
            with archive.working() as worker:
                archive.wait_until_settled(seconds=CAPTURE_SECONDS, worker=worker)
    with served(archive) as pages:
        yield Clinic(site.url, site.port, archive, pages)


def _source_toml(url: str) -> str:
    return "\n".join(
        [
            f'code = "{CODE}"',
            f'name = "{NAME}"',
            'languages = ["en", "fr"]',
            'allow_private_hosts = ["127.0.0.1"]',
            "[[seeds]]",
            f'url = "{url}/"',
            "[scope]",
            'hosts = ["127.0.0.1"]',
            f'include = ["^{url}/"]',
            "[politeness]",
            "delay_seconds = 0.0",
        ]
    )
