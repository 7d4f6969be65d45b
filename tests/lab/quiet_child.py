"""A child that crawls until it is told to stop, or stands still where its file says `stall`.

Run as `python quiet_child.py DIRECTORY`. DIRECTORY/JOB.told gets each command but renewals.
"""

import json
import select
import sys
from pathlib import Path

TICK_SECONDS = 0.1


def main() -> None:
    # Without a buffer: select() would not see what lies in one.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    order = json.loads(orders.readline())
    file = Path(sys.argv[1]) / str(order["job_id"])
    stands_still = file.read_text().strip() == "stall"
    report(kind="started")
    done = 0
    while True:
        done = 1 if stands_still else done + 1
        counts = {"found": done, "done": done, "captures": done}
        report(kind="progress", counts=counts)
        if not select.select([orders], [], [], TICK_SECONDS)[0]:
            continue
        line = orders.readline()
        if not line:
            return
        command = json.loads(line)
        if command["kind"] == "stop":
            with file.with_suffix(".told").open("a") as told:
                told.write(f"{order['fence']} {command['reason']}\n")
            report(kind="end", outcome="stopped", reason=command["reason"], counts=counts)
            return


def report(**fields: object) -> None:
    """One line to the worker."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
