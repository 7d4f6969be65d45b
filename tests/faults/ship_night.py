"""The incident's faults while shipping: `python -m tests.faults.ship_night --variant full`.

Each variant hurts the box that segments are shipped to, while a crawl writes to the local disk.
The crawl must not notice; nothing may be released too early, lost, or shipped twice.
"""

from __future__ import annotations

import argparse
import errno
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tests.faults import incident
from tests.lab import mounts
from tests.lab.archive import tail
from tests.lab.night import SICK, moment_of, now
from tests.lab.processes import TooLate, kill, wait_for
from tests.lab.shipping_night import (
    LIVE,
    ShippingNight,
    crawl_was_left_alone,
    faults_of,
    pages_per_second,
    shipping_night,
)

SMALL_DISK = "64m"
LAST_SECONDS = 420.0
SHORTEST_SECONDS = 20.0  # over which the crawl's speed is measured, however short the fault
SPARE_SECONDS = 12.0  # that the crawl goes on after the fault
SLOWER = 0.5  # of its usual speed is more than this machine's noise


@dataclass(frozen=True)
class Variant:
    """How the box is hurt, how that ends, and how long it lasts."""

    hurt: Callable[[ShippingNight], None]
    mend: Callable[[ShippingNight], None] = lambda _: None
    seconds: float = 0.0
    server_disk: str = ""
    measured_seconds: float = 0.0  # when hurting takes that long by itself

    @property
    def window(self) -> float:
        """The seconds from the fault on in which the crawl must be as fast as ever."""
        return max(self.seconds, self.measured_seconds, SHORTEST_SECONDS)


@dataclass(frozen=True)
class Result:
    """One run: seconds from the fault, or from the end of its cause; and the crawl's speed."""

    tripped: float | None
    recovered: float | None
    shipping_again: float | None
    all_shipped: float | None
    segments: int
    pages_per_second: float
    without_fault: float


def read_only(running: ShippingNight) -> None:
    """As soon as no file is open for writing: the kernel refuses it until then."""

    def done() -> bool:
        try:
            mounts.set_read_only(running.box)
        except RuntimeError:
            return False
        return True

    wait_for(done, what="the box is read-only", seconds=30.0, every=0.02)


def fill(running: ShippingNight) -> None:
    """Take all the room there is, also what shipping would use meanwhile."""
    with (running.box / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def reboot(running: ShippingNight) -> None:
    """What a reboot leaves: no mount, a plain directory where it was."""
    kill(running.mount_pid())
    mounts.unmount(Path(running.definition(SICK).root))


VARIANTS = {
    "killed": Variant(incident.kill_sshfs),
    "abort": Variant(incident.abort_connection),
    "hang": Variant(incident.hang, incident.unhang, 25.0),
    "partition": Variant(lambda r: r.cable.cut(), lambda r: r.cable.join(), 60.0),
    "directory": Variant(incident.lose_directory, incident.find_directory, 20.0),
    "read-only": Variant(read_only, incident.writable, 20.0, SMALL_DISK),
    "full": Variant(fill, incident.make_room, 20.0, SMALL_DISK),
    "not-writable": Variant(incident.take_rights, incident.give_rights, 20.0),
    "reboot": Variant(reboot),
    "dies-again": Variant(incident.die_twice, measured_seconds=30.0),
    "flapping": Variant(incident.flap, measured_seconds=180.0),
}


# -- one run -------------------------------------------------------------------------------------


def run(name: str, seed: int, *, seconds: float | None = None) -> tuple[Result, list[str]]:
    """One night with this fault, or one that lasts so long; and what is wrong in the end."""
    variant = VARIANTS[name]
    if seconds is not None:
        variant = replace(variant, seconds=seconds)
    usual = speed_without_fault(variant.window)
    chance = random.Random(seed)
    crawl_seconds = variant.window + SPARE_SECONDS
    with shipping_night(
        crawl_seconds=crawl_seconds, server_disk=variant.server_disk, seed=seed
    ) as running:
        time.sleep(chance.uniform(0.0, 3.0))
        running.fault_at = now()
        variant.hurt(running)
        time.sleep(max(0.0, running.fault_at + variant.seconds - now()))
        variant.mend(running)
        running.restored_at = now()
        wrong = []
        try:
            running.wait_until_shipped(LAST_SECONDS)
        except TooLate as late:
            wrong.append(str(late))
        result = _result(running, variant, usual)
        wrong += judge(running, result) + running.notes
        if wrong:
            tell(running)
    return result, wrong


@cache
def speed_without_fault(window: float) -> float:
    """Pages a second of the same crawl, shipping too, on a night on which nothing happens."""
    with shipping_night(crawl_seconds=window + SPARE_SECONDS) as running:
        began = now()
        time.sleep(window)
        return pages_per_second(running, began, window)


def judge(running: ShippingNight, result: Result) -> list[str]:
    """What did not hold."""
    wrong = faults_of(running) + list(crawl_was_left_alone(running))
    if result.tripped is None:
        wrong.append("the fault was not noticed")
    if result.pages_per_second < SLOWER * result.without_fault:
        wrong.append(f"the crawl noticed: {result.pages_per_second:.1f} pages/s")
    told = [e for e in running.events() if moment_of(e) >= running.fault_at]
    if any(e["subject"] == "worker" and e["what"] == "stopped" for e in told):
        wrong.append("the worker stopped")
    return wrong


def _result(running: ShippingNight, variant: Variant, usual: float) -> Result:
    told = running.events()

    def first(since: float, *whats: str) -> float | None:
        at = [moment_of(e) - since for e in told if e["what"] in whats and moment_of(e) >= since]
        return at[0] if at else None

    last = [moment_of(e) for e in told if e["what"] == "copy_verified"]
    return Result(
        tripped=first(running.fault_at, "trip", "trial_failed"),
        recovered=first(running.restored_at, "probe_ok"),
        shipping_again=first(running.restored_at, "copy_verified"),
        all_shipped=last[-1] - running.restored_at if last else None,
        segments=len(running.segments()),
        pages_per_second=pages_per_second(running, running.fault_at, variant.window),
        without_fault=usual,
    )


def tell(running: ShippingNight) -> None:
    """The journal from the fault on, for whoever has to find out."""
    for event in running.events():
        after = moment_of(event) - running.fault_at
        step = f"{event['from_state']} -> {event['to_state']}"
        what = f"{event['subject']} {event['subject_id']} {event['what']} {step}"
        print(f"{after:8.2f} s  {what}  {str(event['why'])[:160]}")
    print(tail(running.archive.worker_log))
    print(tail(running.log("steward")))


# -- the table -----------------------------------------------------------------------------------


def table(rows: list[tuple[str, int, Result]]) -> str:
    """One line a run; seconds, and pages/s of the live crawl."""
    lines = [
        "| fault | seed | tripped | recovered | ships again | all shipped | segments "
        "| pages/s | without fault |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, seed, found in rows:
        steps = (found.tripped, found.recovered, found.shipping_again, found.all_shipped)
        cells = ["–" if each is None else f"{each:.1f}" for each in steps]
        cells.append(str(found.segments))
        cells += [f"{found.pages_per_second:.1f}", f"{found.without_fault:.1f}"]
        lines.append(f"| {name} | {seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """The exit code: 0 only if all held in every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=[*VARIANTS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="put the table into this Markdown file")
    asked = parser.parse_args()
    rows: list[tuple[str, int, Result]] = []
    failed = 0
    for name in VARIANTS if asked.variant == "all" else [asked.variant]:
        result, wrong = run(name, asked.seed)
        rows.append((name, asked.seed, result))
        failed += bool(wrong)
        print(f"{datetime.now(UTC):%H:%M:%S}Z {name}, seed {asked.seed}: {result}", flush=True)
        for line in wrong:
            print(f"WRONG  {line}", flush=True)
    shown = table(rows)
    print(f"\nSeconds from the fault, then from the end of its cause; {LIVE} is captured.\n{shown}")
    if asked.write:
        asked.write.write_text(shown + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
