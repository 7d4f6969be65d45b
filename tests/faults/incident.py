"""The incident of 2026-01-24 on real mounts, in all its variants: `make incident VARIANT=hang`.

Each variant hurts box-b, on which the hot paths of phac and cihr lie, and lets it be. What must
hold afterwards is in `judge`; the table has the seconds that each step took.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import connection_directory, read_mounts
from tests.faults import night_times
from tests.faults.night_times import Times, table
from tests.lab import mounts
from tests.lab.night import HEALTHY, SICK, SOURCES, Night, moment_of, night, now, verdicts
from tests.lab.processes import TooLate, kill, wait_for

LAST_SECONDS = 420.0
RESUME_SECONDS = 20.0  # within which the waiting job's path must be seen to be sick
HC_PAUSE_SECONDS = 6.0  # the longest hc may go without a capture: slow pages of the site included
SMALL_DISK = "40m"


@dataclass(frozen=True)
class Variant:
    """How box-b is hurt, how that ends, and how long it lasts."""

    hurt: Callable[[Night], None]
    mend: Callable[[Night], None] = lambda _: None
    seconds: float = 0.0
    server_disk: str = ""


# -- the faults ----------------------------------------------------------------------------------


def kill_sshfs(running: Night) -> None:
    kill(running.mount_pid())


def abort_connection(running: Night) -> None:
    directory = connection_directory(running.device())
    assert directory is not None
    (directory / "abort").write_text("1")


def hang(running: Night) -> None:
    kill(running.mount_pid(), signal.SIGSTOP)
    running.sick.hang()


def unhang(running: Night) -> None:
    """The server goes on; sshfs stays stopped, as a process that hangs for good."""
    running.sick.resume()


def lose_directory(running: Night) -> None:
    running.sick.files.rename(running.sick.files.with_name("elsewhere"))


def find_directory(running: Night) -> None:
    running.sick.files.with_name("elsewhere").rename(running.sick.files)


def read_only(running: Night) -> None:
    """As a server's kernel does it after an error: whoever has a file open loses it."""

    def turned() -> bool:
        running.sick.drop_sessions()
        try:
            mounts.set_read_only(running.sick.files)
        except RuntimeError:  # a new session has opened a file for writing already
            return False
        return True

    wait_for(turned, what="the server's disk is read-only", every=0.01)


def writable(running: Night) -> None:
    mounts.set_read_only(running.sick.files, read_only=False)


def fill(running: Night) -> None:
    free = shutil.disk_usage(running.sick.files).free
    with contextlib.suppress(OSError):  # the crawl writes too: ours may be the write that fails
        (running.sick.files / "filler").write_bytes(bytes(free))


def make_room(running: Night) -> None:
    (running.sick.files / "filler").unlink()


def take_rights(running: Night) -> None:
    for directory in _directories(running.sick.files):
        os.chown(directory, 0, 0)
        directory.chmod(0o555)


def give_rights(running: Night) -> None:
    for directory in _directories(running.sick.files):
        shutil.chown(directory, running.sick.user)
        directory.chmod(0o755)


def reboot(running: Night) -> None:
    """What a reboot leaves: no mount, no bind; all paths are plain local directories."""
    pid = running.mount_pid()
    kill(pid)
    for source in ("phac", "cihr"):
        mounts.unmount(running.hot_path(source))
    mounts.unmount(Path(running.definition(SICK).root))
    for source in ("phac", "cihr"):
        (running.hot_path(source) / "warcs").mkdir(parents=True, exist_ok=True)


def die_twice(running: Night) -> None:
    """Killed, and twice again as soon as it is mounted anew."""
    kill_sshfs(running)
    dead = {running.definition(SICK).root}
    for _ in range(2):
        before = mount_process(read_mounts(), running.definition(SICK))

        def another(before: int | None = before) -> int | None:
            pid = mount_process(read_mounts(), running.definition(SICK))
            return pid if pid != before else None

        kill(wait_for(another, what=f"{dead} is mounted again", seconds=60.0, every=0.05))


def flap(running: Night) -> None:
    """Ten seconds without the network, ten with it, for three minutes."""
    for _ in range(9):
        running.cable.cut()
        time.sleep(10.0)
        running.cable.join()
        time.sleep(10.0)


VARIANTS = {
    "killed": Variant(kill_sshfs),
    "abort": Variant(abort_connection),
    "hang": Variant(hang, unhang, 25.0),
    "partition": Variant(lambda r: r.cable.cut(), lambda r: r.cable.join(), 60.0),
    "directory": Variant(lose_directory, find_directory, 20.0),
    "read-only": Variant(read_only, writable, 20.0, SMALL_DISK),
    "full": Variant(fill, make_room, 20.0, SMALL_DISK),
    "not-writable": Variant(take_rights, give_rights, 20.0),
    "reboot": Variant(reboot),
    "dies-again": Variant(die_twice),
    "flapping": Variant(flap),
}


# -- one run -------------------------------------------------------------------------------------


def run(name: str, seed: int) -> tuple[Times, list[str]]:
    """One night with this fault: its times, and what is wrong in the end."""
    variant = VARIANTS[name]
    chance = random.Random(seed)
    with night(server_disk=variant.server_disk, seed=seed) as running:
        time.sleep(chance.uniform(0.0, 3.0))
        ((before,),) = running.ask("SELECT max(id) FROM events")
        running.fault_at = now()
        variant.hurt(running)
        running.restored_at = now()
        hurt_until = running.fault_at + variant.seconds
        _let_the_waiting_one_go(running, before)
        time.sleep(max(0.0, hurt_until - now()))
        if variant.seconds:
            variant.mend(running)
            running.restored_at = now()
        wrong = []
        try:
            running.wait_until_over(LAST_SECONDS)
        except TooLate as late:
            wrong.append(str(late))
        times = _times(running)
        wrong += judge(running, times) + running.notes
        if wrong:
            tell(running)
    return times, wrong


def judge(running: Night, times: Times) -> list[str]:
    """What did not hold."""
    wrong = verdicts(running)
    if times.detected is None or times.parked is None:
        wrong.append("the fault was not noticed")
    if times.seen_waiting is None:
        wrong.append("the waiting job's path was not seen before it was claimed")
    if times.starts > 6:
        wrong.append(f"a job was started {times.starts} times within the hour")
    if times.hc_longest_pause > HC_PAUSE_SECONDS:
        wrong.append(f"hc paused for {times.hc_longest_pause:.1f} s")
    stops = [e for e in running.events() if e["subject"] == "worker" and e["what"] == "stopped"]
    if stops or running.worker.poll() is not None:
        wrong.append("the worker stopped")
    return wrong + list(_story(running))


def _story(running: Night) -> Iterator[str]:
    """The journal tells it in order: trip, then park or claim, then release, then capture."""
    told = [e for e in running.events() if moment_of(e) >= running.fault_at - 1.0]
    box = [e["what"] for e in told if e["subject"] == "target" and e["subject_id"] == SICK]
    steps = [what for what in box if what in ("trip", "probe_ok", "trial_ok", "trial_failed")]
    hot = [
        e["what"] for e in told if e["subject"] == "target" and e["subject_id"].startswith("hot-")
    ]
    if "trip" not in steps + hot:
        yield "the journal has no trip of the target"
    if steps and steps[-1] != "trial_ok":
        yield f"the journal leaves {SICK} at {steps[-1]}"
    ids = [e["id"] for e in told]
    if ids != sorted(ids):
        yield "the journal is not in order"


def _let_the_waiting_one_go(running: Night, before: int) -> None:
    """cihr is paused until its path has been seen to be sick; then it waits for its target.

    `before` is the last event of the time before the fault.
    """
    hot = f"hot-{running.jobs['cihr']}"

    def seen() -> bool:
        query = "SELECT 1 FROM events WHERE id > ? AND what IN ('trip', 'trial_failed')"
        return bool(running.ask(f"{query} AND subject_id IN (?, ?)", before, hot, SICK))

    with contextlib.suppress(TooLate):
        wait_for(seen, what="its path is seen", seconds=RESUME_SECONDS, every=0.5)
    running.archive.run("resume", "--id", str(running.jobs["cihr"]))


def _times(running: Night) -> Times:
    told = [e for e in running.events() if moment_of(e) >= running.fault_at - 0.5]
    job = {name: str(number) for name, number in running.jobs.items()}
    back = max(running.restored_at, running.fault_at)

    def first(subject: str, ids: Sequence[str], *whats: str, since: float) -> float | None:
        for event in told:
            fits = event["subject"] == subject and event["subject_id"] in ids
            if fits and event["what"] in whats and moment_of(event) >= since - 0.5:
                return moment_of(event) - since
        return None

    sick = [SICK, f"hot-{job['phac']}", f"hot-{job['cihr']}"]
    waiting = first("target", [SICK, sick[2]], "trip", since=running.fault_at)
    claimed = first("job", [job["cihr"]], "claim", since=running.fault_at)
    seen = waiting if claimed is None or (waiting is not None and waiting <= claimed) else None
    return Times(
        detected=first("target", sick, "trip", since=running.fault_at),
        parked=first("job", [job["phac"]], "park", since=running.fault_at),
        seen_waiting=seen,
        recovered=first("target", [SICK], "probe_ok", since=back),
        phac_again=_again(running, "phac", back),
        cihr_again=_again(running, "cihr", back),
        hc_longest_pause=_longest_pause(running),
        starts=max(_starts(told, number) for number in job.values()),
    )


def _again(running: Night, source: str, since: float) -> float | None:
    later = [at - since for at in running.captured_at(source) if at >= since]
    return later[0] if later else None


def _longest_pause(running: Night) -> float:
    at = running.captured_at("hc")
    return max((after - before for before, after in pairwise(at)), default=0.0)


def _starts(told: list[dict[str, object]], job: str) -> int:
    return sum(
        event["subject"] == "job" and event["subject_id"] == job and event["what"] == "claim"
        for event in told
    )


def tell(running: Night) -> None:
    """The journal from the fault on, for whoever has to find out."""
    for event in running.events():
        after = moment_of(event) - running.fault_at
        if after > -1.0 and event["subject"] != "segment":
            step = f"{event['from_state']} -> {event['to_state']}"
            what = f"{event['subject']} {event['subject_id']} {event['what']} {step}"
            print(f"{after:8.2f} s  {what}  {str(event['why'])[:160]}")
    print(running.archive.worker_log.read_text()[-3000:])
    print(running.log("steward").read_text()[-3000:])


def _directories(root: Path) -> list[Path]:
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


def run_all(
    runs: Sequence[tuple[str, int]], side_by_side: int, kept: Path | None = None
) -> tuple[dict[str, list[Times]], int]:
    """The times of each variant, and how many runs ended wrong; so many nights at once.

    A night is mostly waiting: several share a machine. What is `kept` in a file of an earlier call
    that was interrupted is not run again.
    """
    results = night_times.read(kept)
    with ProcessPoolExecutor(side_by_side) as pool:
        futures = {pool.submit(run, *each): each for each in runs if each not in results}
        try:
            for future in as_completed(futures):
                name, seed = futures[future]
                times, wrong = results[name, seed] = future.result()
                night_times.keep(kept, name, seed, times, wrong)
                print(f"{datetime.now(UTC):%H:%M:%S}Z {name}, seed {seed}: {times}", flush=True)
                for line in wrong:
                    print(f"WRONG  {name}, seed {seed}: {line}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # no further night is begun
            raise
    wanted = {each: results[each] for each in runs}
    rows = {
        variant: [times for (name, _), (times, _) in wanted.items() if name == variant]
        for variant in VARIANTS
    }
    failed = sum(bool(wrong) for _, wrong in wanted.values())
    return {name: times for name, times in rows.items() if times}, failed


def main() -> int:
    """The exit code: 0 only if all held in every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=[*VARIANTS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1, help="of each variant")
    parser.add_argument("--side-by-side", type=int, default=1, help="so many nights at once")
    parser.add_argument("--write", type=Path, help="put the table into this Markdown file")
    asked = parser.parse_args()
    names = list(VARIANTS) if asked.variant == "all" else [asked.variant]
    runs = [(name, seed) for name in names for seed in range(asked.seed, asked.seed + asked.runs)]
    rows, failed = run_all(runs, asked.side_by_side)
    shown = table(rows)
    print(f"\nSeconds: median (worst). {HEALTHY} carries hc; {SOURCES[1:]} lie on {SICK}.\n{shown}")
    if asked.write:
        asked.write.write_text(shown + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
