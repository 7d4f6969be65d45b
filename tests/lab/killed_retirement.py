"""The retention child, killed (SIGKILL) at one moment of its work: argv[1] says which."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from healtharchive.model import retention
from healtharchive.steward import retention_child, retired_files
from healtharchive.steward.delegating import serve_one
from healtharchive.steward.retention_child import RetireOrder, work


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def main(moment: str) -> int:
    """Obey the order on stdin until then."""
    if moment == "before the file has its name":
        retired_files.os.rename = die  # type: ignore[attr-defined]
    elif moment == "between file and delete":
        retention_child._delete = die
    else:
        _die_at_the_second_delete()
    return serve_one(RetireOrder, work)


def _die_at_the_second_delete() -> None:
    retire, calls = retention.retire, iter([False, True])

    def counted(*arguments: Any) -> int:
        return die() if next(calls) else retire(*arguments)

    setattr(retention_child, "MOST_IDS", 3)  # noqa: B010
    retention.retire = counted  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
