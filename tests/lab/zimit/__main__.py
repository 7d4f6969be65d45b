"""zimit itself: it runs the crawler in a process of its own, and ends as the crawler did."""

from __future__ import annotations

import os
import signal
import sys

from tests.lab.zimit.zimit import main


def run() -> int:
    """The crawler's exit code; minus the signal's number when it was killed."""
    crawler = os.fork()
    if not crawler:
        code = main()
        sys.stdout.flush()
        os._exit(code)  # workers that were told to stall do not hold it up
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(crawler, number))
    return os.waitstatus_to_exitcode(os.waitpid(crawler, 0)[1])


if __name__ == "__main__":
    sys.exit(run())
