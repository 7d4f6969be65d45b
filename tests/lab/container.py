"""The container lab: an image with a small crawler, made here, and children that run the engine."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from healtharchive.model.container import ContainerOptions
from healtharchive.model.orders import CrawlOrder, Report
from healtharchive.model.source import Limits, Politeness, ScopeRules, Seed, SourceDefinition
from healtharchive.model.wire import from_line
from tests.lab.crawling import CrawlChild

HOST = "127.0.0.1"
NAME = "localhost/healtharchive-zimit"
PODMAN = ("podman", "--runtime", "runc")
CRAWLER = Path(__file__).with_name("zimit")
PYTHON = "/usr/bin/python3"
# The parts of the standard library that make it large and that the crawler does not need.
LEFT_OUT = ("test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "pydoc_data")
MODULES = ("_json", "_contextvars", "_typing", "_queue", "_opcode")
START = '#!/bin/sh\nPYTHONPATH=/app exec /usr/bin/python3 -S -m tests.lab.zimit "$@"\n'
RECIPE = "1"
END_SECONDS = 90.0


def podman(*words: str, check: bool = True) -> str:
    """What podman answers."""
    done = subprocess.run([*PODMAN, *words], capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(words)}: {done.stderr}")
    return done.stdout.strip()


def image() -> str:
    """The test image, made once for each version of the crawler and the machine's Python."""
    version = subprocess.run([PYTHON, "-VV"], capture_output=True, check=True).stdout
    parts = [RECIPE.encode(), version, START.encode()]
    parts += [path.read_bytes() for path in sorted(CRAWLER.glob("*.py"))]
    name = f"{NAME}:{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"
    there = subprocess.run([*PODMAN, "image", "exists", name], capture_output=True, timeout=60)
    if there.returncode:
        _build(name)
    return name


def _build(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="lab-image-") as directory:
        root = Path(directory)
        _copy_python(root)
        package = root / "app/tests/lab/zimit"
        shutil.copytree(CRAWLER, package, ignore=shutil.ignore_patterns("__pycache__"))
        for above in (package.parent, package.parent.parent):
            (above / "__init__.py").touch()
        (root / "bin").mkdir()
        shutil.copy2(shutil.which("busybox") or "/bin/busybox", root / "bin/busybox")
        for tool in ("sh", "chmod", "sleep"):
            os.symlink("busybox", root / "bin" / tool)
        for each in ("output", "tmp", "proc", "sys", "dev", "etc"):
            (root / each).mkdir()
        start = root / "usr/bin/zimit"
        start.write_text(START)
        start.chmod(0o755)
        packed = subprocess.Popen(["tar", "-C", directory, "-c", "."], stdout=subprocess.PIPE)
        path = "ENV PATH=/usr/bin:/bin"
        load = [*PODMAN, "import", "--change", path, "-", name]
        subprocess.run(load, stdin=packed.stdout, capture_output=True, check=True, timeout=60)
        packed.wait(60)


def _copy_python(root: Path) -> None:
    """The machine's own interpreter, the libraries it needs, and its standard library."""
    real = Path(PYTHON).resolve()
    ask = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    said = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True)
    library = Path(said.stdout.strip())
    skipped = shutil.ignore_patterns("__pycache__", "config-*", "dist-packages", *LEFT_OUT)
    wanted = shutil.ignore_patterns("__pycache__")

    def ignore(directory: str, names: list[str]) -> set[str]:
        if Path(directory).name == "lib-dynload":
            return {name for name in names if name.partition(".")[0] not in MODULES}
        return skipped(directory, names) | wanted(directory, names)

    shutil.copytree(library, root / library.relative_to("/"), ignore=ignore)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy2(real, root / "usr/bin/python3")
    listed = subprocess.run(["ldd", str(real)], capture_output=True, text=True, check=True)
    for word in listed.stdout.split():
        if word.startswith("/"):
            place = root / word.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(word).resolve(), place)


# -- sources, orders, options ----------------------------------------------------------------

_numbers = itertools.count(1)


def new_job_id() -> int:
    """A job id that no other test on this machine has: containers are found by it."""
    return random.SystemRandom().randrange(10**6, 10**9) + next(_numbers)


def lab_options(**more: Any) -> ContainerOptions:
    """How the test image runs on this kind of machine; everything happens soon."""
    settings: dict[str, Any] = {
        "image": image(),
        "engine": "podman",
        "runtime": "runc",
        "ulimits": ("nofile=1024:1024", "nproc=1024:1024"),
        "network": "host",
        "memory": "512m",
        "shm_size": "64m",
        "rollover_bytes": 200_000,
        "save_state_seconds": 1,
        "stop_seconds": 5.0,
        "harvest_seconds": 0.5,
        "relax_seconds": 1.0,
        "restart_wait_seconds": 0.1,
        "quiet_seconds": 2.0,
    }
    return ContainerOptions(**(settings | more))


def source_at(url: str, *, tries: int = 3, **limits: Any) -> SourceDefinition:
    """A site of the lab's as a source."""
    return SourceDefinition(
        code="lab",
        name="The lab's site",
        seeds=(Seed(f"{url}/", "en"),),
        scope=ScopeRules(hosts=(HOST,), exclude=("/excluded/",)),
        base_url=f"{url}/",
        politeness=Politeness(delay_seconds=0.0, url_tries=tries),
        limits=Limits(**limits),
        allow_private_hosts=(HOST,),
    )


def order_at(source: SourceDefinition, output: Path, job_id: int, fence: int = 1) -> CrawlOrder:
    """An order for the container engine."""
    return CrawlOrder(
        job_id=job_id,
        fence=fence,
        source=source,
        campaign="lab-2026",
        output_dir=str(output),
        operator="The lab",
        user_agent="HealthArchive-Test/1",
        lease_seconds=600.0,
        segment_bytes=3_000_000,
        stop_seconds=20.0,
    )


def tell(order: CrawlOrder, **how: Any) -> None:
    """Tell the crawler of this order how to misbehave: see `tests.lab.zimit.zimit.Told`."""
    tell_at(Path(order.output_dir) / "container", **how)


def tell_at(work: Path, **how: Any) -> None:
    """The same by the directory that a crawler works in: also while it runs."""
    work.mkdir(parents=True, exist_ok=True)
    fresh = work / "tell.json.new"
    fresh.write_text(json.dumps(how))
    fresh.rename(work / "tell.json")


# -- children that run the engine ------------------------------------------------------------


class EngineChild(CrawlChild):
    """A crawl child whose source is crawled in a container."""

    def __init__(
        self,
        order: CrawlOrder,
        options: ContainerOptions,
        *,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        source = replace(order.source, engine="container", container=options)
        super().__init__(replace(order, source=source), prefix=prefix, env=env)

    def stream(self) -> Iterator[Report]:
        """Its reports as they come, until its output ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield from_line(Report, line)


def attempt(order: CrawlOrder, options: ContainerOptions) -> list[Report]:
    """Run an attempt to its end; all its reports."""
    with EngineChild(order, options) as child:
        return child.all_reports()


def notes(reports: Sequence[Report], words: str = "") -> list[Report]:
    """The notes that have these words."""
    return [each for each in reports if each.kind == "note" and words in each.what]


# -- what is left ----------------------------------------------------------------------------


def containers(job_id: int) -> list[str]:
    """The ids of a job's containers, running or ended."""
    return podman(
        "ps", "-aq", "--no-trunc", "--filter", f"label=healtharchive.job={job_id}"
    ).split()


@contextmanager
def job() -> Iterator[int]:
    """A job's id for a test; whatever container it leaves is removed in the end."""
    job_id = new_job_id()
    try:
        yield job_id
    finally:
        for each in containers(job_id):
            podman("rm", "--force", "--time", "0", each, check=False)
