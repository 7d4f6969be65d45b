"""Having a WACZ prepared by a child that is ended when it hangs."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

from healtharchive.model.collection import CollectionName
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.collection_child import COMMAND, Said
from healtharchive.storage.errand import abandon

STALL_SECONDS = 60.0
PIECE_BYTES = 1 << 16


def prepare_in_child(
    name: CollectionName,
    environ: Mapping[str, str],
    watch: Callable[[int], None] = lambda _: None,
    stall_seconds: float = STALL_SECONDS,
) -> Said:
    """How it ended. A child that says nothing for `stall_seconds` is killed, and is out of reach.

    `environ` are its settings. `watch` hears every second or so how many bytes it has read; it may
    raise, which ends the child.
    """
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env=dict(environ),
    )
    assert process.stdin is not None
    try:
        process.stdin.write(to_line(name))
        process.stdin.close()
        read = 0
        for said in _heard(process, stall_seconds):
            if said is not None and said.kind != "progress":
                return said
            read = said.bytes if said is not None else read
            watch(read)
        return Said("failed", reason=f"{name} cannot be prepared: the child ended early.")
    except TimeoutError:
        what = f"{name} cannot be prepared now: nothing was read for {stall_seconds:.0f} s."
        return Said("out_of_reach", reason=what)
    except BrokenPipeError:
        return Said("failed", reason=f"{name} cannot be prepared: the child ended early.")
    finally:
        abandon(process)


def _heard(process: subprocess.Popen[bytes], stall_seconds: float) -> Iterator[Said | None]:
    """The child's lines; None for a second without one. TimeoutError when it is silent too long."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    waiting = b""
    until = time.monotonic() + stall_seconds
    while True:
        if not poll.poll(1000):
            if time.monotonic() > until:
                raise TimeoutError
            yield None
            continue
        piece = os.read(descriptor, PIECE_BYTES)
        if not piece:
            return
        until = time.monotonic() + stall_seconds
        *lines, waiting = (waiting + piece).split(b"\n")
        for line in lines:
            yield from_line(Said, line)
