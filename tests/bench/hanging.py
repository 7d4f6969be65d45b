"""What answers while every mount hangs, how fast, and which thread waits for a dead file.

sshfs and its server are stopped on two boxes with hot paths on them, under a running worker,
steward and web server: `python -m tests.bench.hanging`.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import insert

from healtharchive.model.database import Database
from healtharchive.model.tables import captures, segments
from tests.lab.archive import Archive, command
from tests.lab.night import HEALTHY, SICK, Night, night
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, descendants, kill, kill_tree, wait_for, without_settings

# What the project promises; the tests assert less, for their machines are shared.
STATUS_LIMIT_SECONDS = 1.0
HEALTHZ_LIMIT_SECONDS = 0.1
SAMPLE_SECONDS = 0.05
STATUS_EVERY_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
# A fork, or an fsync of the database, waits in D for a moment; a dead file keeps it there.
UNINTERRUPTIBLE_SECONDS = 1.0
WAITS_OF_FUSE = ("request_wait_answer", "fuse")


@dataclass
class Hanging:
    """What was measured in one phase. `blocked` are threads of ours that waited for a file."""

    status_seconds: list[float] = field(default_factory=list)
    healthz_seconds: list[float] = field(default_factory=list)
    page_seconds: list[float] = field(default_factory=list)
    status_said: str = ""
    blocked: set[str] = field(default_factory=set)
    stuck_children: set[int] = field(default_factory=set)
    samples: int = 0


@dataclass
class Lab:
    """A night whose mounts hang, with a web server, and a capture on a hot path."""

    running: Night
    server: subprocess.Popen[bytes]
    address: str
    capture_id: int

    @property
    def archive(self) -> Archive:
        return self.running.archive

    @property
    def watched(self) -> Mapping[str, int]:
        """The pids of the processes that must never wait for a file of a target."""
        night = self.running
        pids = {"worker": night.worker.pid, "steward": night.steward.pid}
        return {**pids, "serve": self.server.pid}

    @property
    def lock(self) -> Path:
        """While this file is there the steward repairs nothing: the mounts go on hanging."""
        return self.archive.data_dir / "deploy.lock"


@contextmanager
def lab(seed: int = 1) -> Iterator[Lab]:
    """Everything runs, then every mount hangs until the end of the block."""
    with ExitStack() as undo:
        running = undo.enter_context(night(seed=seed))
        port = free_port()
        server = undo.enter_context(running.archive.serving(port))
        with httpx.Client(trust_env=False) as client:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(client, address), what="the web server answers")
        made = Lab(running, server, address, _capture_on(running))
        made.lock.touch()
        undo.callback(_let_go, running)
        for box in (HEALTHY, SICK):
            kill(running.mount_pid(box), signal.SIGSTOP)
        running.healthy.hang()
        running.sick.hang()
        yield made


def _answers(client: httpx.Client, address: str) -> bool:
    try:
        return client.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def _let_go(running: Night) -> None:
    running.healthy.resume()
    running.sick.resume()


def _capture_on(running: Night) -> int:
    """A capture whose file lies on hc's hot path, as a reader may ask for any time."""
    job = running.job("hc")
    path = next(running.hot_path("hc").rglob("*.warc.gz*"))
    database = Database(running.archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the bench")
    with database.begin() as connection:
        now = database.now(connection)
        segment = {
            "job_id": job["id"],
            "name": "hanging.warc.gz",
            "state": "sealed",
            "path": str(path),
            "fence": 1,
            "size_bytes": 1000,
            "sha256": "",
            "records": 1,
        }
        made = connection.execute(insert(segments).values(**segment)).inserted_primary_key
        assert made is not None
        capture = {
            "segment_id": made[0],
            "job_id": job["id"],
            "source_id": 1,
            "record_offset": 0,
            "record_length": 1000,
            "record_type": "response",
            "url": "http://hanging.example/",
            "url_key": "example,hanging)/",
            "captured_at": now,
        }
        made = connection.execute(insert(captures).values(**capture)).inserted_primary_key
        assert made is not None
    database.dispose()
    return int(made[0])


# -- measuring -----------------------------------------------------------------------------------


def measure(lab: Lab, seconds: float) -> Hanging:
    """Ask again and again for so long, and look at every thread of the three all the while."""
    found = Hanging()
    watch = Watch(lab.watched, found)
    until = time.monotonic() + seconds
    with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        next_status = 0.0
        while time.monotonic() < until:
            watch.look()
            found.healthz_seconds.append(_get(client, f"{lab.address}/healthz"))
            found.page_seconds.append(_get(client, f"{lab.address}/en/targets"))
            if time.monotonic() >= next_status:
                _ask_status(lab, found, watch)
                next_status = time.monotonic() + STATUS_EVERY_SECONDS
            time.sleep(SAMPLE_SECONDS)
    return found


def read_a_hanging_capture(lab: Lab) -> tuple[httpx.Response, float, Hanging]:
    """The answer to who asks for a file on a hung mount, its time, and the others' meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        address = f"{lab.address}/raw/{lab.capture_id}"
        asked = pool.submit(httpx.get, address, timeout=60.0, trust_env=False)
        others = measure(lab, 8.0)
        answer = asked.result(60.0)
        return answer, time.monotonic() - began, others


def _get(client: httpx.Client, address: str) -> float:
    began = time.monotonic()
    answer = client.get(address)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return time.monotonic() - began


def _ask_status(lab: Lab, found: Hanging, watch: Watch) -> None:
    began = time.monotonic()
    environment = {**without_settings(), **lab.archive.environment}
    asked = subprocess.Popen(
        command("status"), env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        while asked.poll() is None and time.monotonic() - began < PATIENCE_SECONDS:
            watch.look()
            time.sleep(SAMPLE_SECONDS / 10)
        found.status_seconds.append(time.monotonic() - began)
        assert asked.poll() in (0, 1, 2), f"status ended with {asked.poll()}"
        assert asked.stdout is not None
        found.status_said = asked.stdout.read()
    finally:
        kill_tree(asked)  # type: ignore[arg-type]  # it reads text; ending it is the same
        if asked.stdout is not None:
            asked.stdout.close()


@dataclass
class Watch:
    """Looks at /proc: threads of ours that wait for a file, and children that do (and may)."""

    pids: Mapping[str, int]
    found: Hanging
    _since: dict[tuple[int, int], float] = field(default_factory=dict)

    def look(self) -> None:
        """One look at every thread."""
        self.found.samples += 1
        for name, pid in self.pids.items():
            for thread in _threads(pid):
                self._judge(name, pid, thread)
            for child in descendants(pid):
                if any(_waits_for_fuse(_read(each, "wchan")) for each in _threads(child.pid)):
                    self.found.stuck_children.add(child.pid)

    def _judge(self, name: str, pid: int, thread: Path) -> None:
        key = (pid, int(thread.name))
        state = _read(thread, "stat").rpartition(")")[2].split()[:1]
        where = _read(thread, "wchan")
        told = f"{name}: a thread in {where}, state {state}, call {_read(thread, 'syscall')[:60]}"
        if _waits_for_fuse(where):
            self.found.blocked.add(told)
        if state != ["D"]:
            self._since.pop(key, None)
            return
        now = time.monotonic()
        if now - self._since.setdefault(key, now) >= UNINTERRUPTIBLE_SECONDS:
            self.found.blocked.add(told)


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended
        return []


def _read(thread: Path, name: str) -> str:
    try:
        return (thread / name).read_text()
    except OSError:
        return ""


def _waits_for_fuse(where: str) -> bool:
    return any(word in where for word in WAITS_OF_FUSE)


# -- the table -----------------------------------------------------------------------------------


def hanging_table(seconds: float = 30.0) -> str:
    """A Markdown table of the times against their limits, and how many threads were blocked."""
    with lab() as made:
        found = measure(made, seconds)
    rows = (
        ("`healtharchive status`", found.status_seconds, STATUS_LIMIT_SECONDS),
        ("`GET /healthz`", found.healthz_seconds, HEALTHZ_LIMIT_SECONDS),
        ("`GET /en/targets`", found.page_seconds, STATUS_LIMIT_SECONDS),
    )
    lines = ["| while every mount hangs | median | worst | limit | held |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for name, values, limit in rows:
        held = "yes" if max(values) < limit else "NO"
        middle, worst = statistics.median(values), max(values)
        lines.append(f"| {name} | {middle:.3f} s | {worst:.3f} s | {limit:g} s | {held} |")
    lines.append("")
    lines.append(
        f"{found.samples} looks at every thread of worker, steward and web server found "
        f"{len(found.blocked)} in a blocked file call; {len(found.stuck_children)} of their "
        "children were."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(hanging_table())
