"""A child of the steward that takes its order, says one thing if it is asked to, and hangs."""

from __future__ import annotations

import json
import sys
import time

HANG_SECONDS = 300.0


def main() -> None:
    order = json.loads(sys.stdin.readline())
    if order.get("first"):
        print(json.dumps({"kind": "progress", "doing": order["first"]}), flush=True)
    if order.get("status"):
        sys.exit(int(order["status"]))
    time.sleep(HANG_SECONDS)


if __name__ == "__main__":
    main()
