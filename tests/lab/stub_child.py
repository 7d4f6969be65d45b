"""A child that does as it is told by a file: the worker's protocol without a crawl behind it.

Run as `python stub_child.py DIRECTORY`. DIRECTORY/JOB names the behaviour: complete (also when the
file is missing), errno, failed, fenced, die, die-late, run (until it is stopped) or stubborn (not
even then). DIRECTORY/JOB.log gets a line `FENCE WORD` for all that happens.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

TICK_SECONDS = 0.05


def main() -> None:
    directory = Path(sys.argv[1])
    order = json.loads(sys.stdin.buffer.readline())
    name = str(order["job_id"])
    file = directory / name
    log = (directory / f"{name}.log").open("a")
    say = _Sayer(log, order["fence"])
    say("start")
    report(kind="started")
    behaviour = file.read_text().strip() if file.exists() else "complete"
    word, _, argument = behaviour.partition(" ")
    if word == "complete":
        report(kind="progress", counts=counts(3))
        report(kind="end", outcome="complete", counts=counts(3))
    elif word == "errno":
        report(kind="end", outcome="infra", blame="target", reason="stale", errno=int(argument))
    elif word == "fenced":
        report(kind="note", what="it took over", reason="the test wants it")
        report(kind="end", outcome="fenced", reason="its lease ran out")
    elif word == "failed":
        report(kind="end", outcome="failed", blame="job", reason="the test wants it")
    elif word.startswith("die"):
        if word == "die-late":
            report(kind="progress", counts=counts(2))
        time.sleep(TICK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        run(say, stubborn=word == "stubborn")


def run(say: "_Sayer", *, stubborn: bool) -> None:
    """Report progress until a stop, or the end of stdin."""
    done = 0
    buffered = b""
    os.set_blocking(0, False)
    while True:
        done += 1
        report(kind="progress", counts=counts(done))
        if not select.select([0], [], [], TICK_SECONDS)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk and not stubborn:
            say("parent gone")
            return
        *lines, buffered = (buffered + chunk).split(b"\n")
        for line in lines:
            command = json.loads(line)
            say(command["kind"])
            if command["kind"] == "stop" and not stubborn:
                report(kind="end", outcome="stopped", reason=command["reason"], counts=counts(done))
                return


def counts(done: int) -> dict[str, int]:
    """Counts that add up."""
    return {"found": done, "done": done, "captures": done}


def report(**fields: object) -> None:
    """One line to the worker."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class _Sayer:
    """Writes what happens to the job's log at once."""

    def __init__(self, log: TextIO, fence: int) -> None:
        self._log = log
        self._fence = fence

    def __call__(self, word: str) -> None:
        self._log.write(f"{self._fence} {word}\n")
        self._log.flush()


if __name__ == "__main__":
    main()
