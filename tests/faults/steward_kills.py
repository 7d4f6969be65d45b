"""Worker, steward and shipping child killed while they ship and mend, at many random moments.

`python -m tests.faults.steward_kills --n 50 --seed 1`. Now and then the box's mount is killed too,
a moment before: then its recovery is what the kill interrupts. At the end nothing may be lost or
shipped twice, and the next run must complete.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections import Counter

from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import read_mounts
from tests.lab.archive import tail
from tests.lab.night import SICK
from tests.lab.processes import TooLate, child_running, kill, wait_for
from tests.lab.shipping_night import HARDY, ShippingNight, faults_of, shipping_night

SHIPPING_CHILD = "healtharchive.storage"
VICTIMS = ("worker", "steward", "shipping child")
LONGEST_LIFE_SECONDS = 2.5
CHILD_SECONDS = 10.0  # within which a shipping child is there, if there is anything to ship
PROGRESS_SECONDS = 15.0
MOUNT_EVERY = 4  # so often the mount goes first
SECONDS_A_KILL = 3.0
# A segment takes some seconds then: kills come in its midst, and yet some of it gets there.
BYTES_PER_SECOND = 500_000
LAST_SECONDS = 300.0


class Kills:
    """The killing, with a seed, and what it counted."""

    def __init__(self, running: ShippingNight, seed: int) -> None:
        self.running = running
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()

    def run(self, number: int) -> None:
        """Kill so many times, each victim in turn."""
        for count in range(number):
            victim = VICTIMS[count % len(VICTIMS)]
            if count % MOUNT_EVERY == MOUNT_EVERY - 1:
                self._kill_mount()
            life = self._live()
            killed = self._kill(victim)
            states = Counter(each["state"] for each in self.running.segments())
            print(f"kill {count + 1:3}: {killed} {life}; {dict(states)}", flush=True)

    def _live(self) -> str:
        """A random while; about half of the time one that begins with the next copy that arrives.

        A night in which nothing ever arrives would only be killed while it starts.
        """
        since = ""
        if self.chance.random() < 0.5:
            before = self.running.shipped()
            with contextlib.suppress(TooLate):
                wait_for(
                    lambda: self.running.shipped() > before,
                    what="another copy",
                    seconds=PROGRESS_SECONDS,
                )
                since = " and the next copy"
        life = self.chance.uniform(0.0, LONGEST_LIFE_SECONDS)
        time.sleep(life)
        return f"after {life:.2f} s{since}"

    def _kill(self, victim: str) -> str:
        """End the victim; another one takes the place of a shipping child that does not run."""
        if victim == "shipping child":
            child = self._shipping_child()
            if child is not None and kill(child):
                self.done[victim] += 1
                return victim
            victim = "steward"
        process = self.running.worker if victim == "worker" else self.running.steward
        kill(process.pid)  # nothing but this one: what it started must notice by itself
        process.wait(20.0)
        self.done[victim] += 1
        self.running.restart(victim)
        return victim

    def _kill_mount(self) -> None:
        pid = mount_process(read_mounts(), self.running.definition(SICK))
        if pid is not None and kill(pid):
            self.done["mount"] += 1

    def _shipping_child(self) -> int | None:
        deadline = time.monotonic() + CHILD_SECONDS
        while time.monotonic() < deadline:
            child = child_running(self.running.steward.pid, SHIPPING_CHILD)
            if child is not None:
                return child
            time.sleep(0.02)
        return None


def run(number: int, seed: int) -> list[str]:
    """So many kills in one night; what is wrong in the end."""
    with shipping_night(
        crawl_seconds=number * SECONDS_A_KILL,
        bytes_per_second=BYTES_PER_SECOND,
        settings=HARDY,
        seed=seed,
    ) as running:
        kills = Kills(running, seed)
        kills.run(number)
        wrong = []
        try:
            running.wait_until_shipped(LAST_SECONDS)
        except TooLate as late:
            wrong.append(str(late))
        wrong += faults_of(running) + running.notes
        if "bug" in (said := running.log("steward").read_text()):
            wrong.append("the steward tells of a bug")
        if wrong:
            print(tail(running.archive.worker_log))
            print(said[-6000:])
        print(f"{sum(kills.done.values())} kills: {dict(kills.done)}, seed {seed}")
    return wrong


def main() -> int:
    """The exit code: 0 only if everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"kill -9 at {asked.n} random moments of one night, seed {asked.seed}", flush=True)
    wrong = run(asked.n, asked.seed)
    for line in wrong:
        print(f"WRONG  {line}")
    if not wrong:
        print("Every segment is on the box, verified, shipped once, and released after that.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
