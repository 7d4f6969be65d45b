"""Stop signals with their sender: who asked this process to end."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from healtharchive.model.journal import unit_of
from healtharchive.work.askers import SYSTEMD_PID, Seen, asker, living

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_SECONDS = 0.2
COMMAND_CHARS = 500


@dataclass(frozen=True, slots=True)
class StopSignal:
    """A stop signal and what could be learned of its sender before that was gone.

    `pid` is 0 when the kernel sent it (Ctrl-C at the terminal) and None when it is not known.
    Where systemd sent it at somebody's order, the sender is that somebody: `through` is systemd,
    `caller` the command that ran theirs, `login` whose session it is when that is another user.
    """

    name: str
    pid: int | None = None
    uid: int | None = None
    user: str = ""
    command: str = ""
    unit: str = ""
    through: str = ""
    caller: str = ""
    login: str = ""

    @property
    def sentence(self) -> str:
        """Who sent what, for a person."""
        if self.pid is None:
            return f"{self.name} from an unknown sender"
        if self.pid == 0:
            return f"{self.name} from the terminal"
        user = f"{self.user}, logged in as {self.login}" if self.login else self.user
        who = f"{self.command or 'a process that is gone'} (pid {self.pid}, {user})"
        by = f", called by {self.caller}" if self.caller else ""
        return f"{self.name} from {who}" + (f" of {self.unit}" if self.unit else "") + by

    @property
    def evidence(self) -> dict[str, Any]:
        """The same as facts."""
        return {
            "signal": self.name,
            "sender_pid": self.pid,
            "sender_uid": self.uid,
            "sender_user": self.user,
            "sender_command": self.command,
            "sender_unit": self.unit,
            "sender_login": self.login,
            "sender_caller": self.caller,
            "through": self.through,
        }


@contextlib.contextmanager
def watched(on_stop: Callable[[StopSignal], None]) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT call `on_stop` from a thread of their own.

    To be entered in the main thread before any other thread is started: threads inherit the
    blocked signals, and a signal that some other thread takes has lost its sender.
    """

    def without_sender(number: int, _frame: FrameType | None) -> None:
        on_stop(StopSignal(signal.Signals(number).name))

    before = {each: signal.signal(each, without_sender) for each in STOP_SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(on_stop, ended), name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for each, handler in before.items():
            signal.signal(each, handler)


def _watch(on_stop: Callable[[StopSignal], None], ended: threading.Event) -> None:
    while not ended.is_set():
        info = signal.sigtimedwait(STOP_SIGNALS, LOOK_SECONDS)
        # After SIGSTOP and SIGCONT, CPython 3.11 may return a structure it never filled: the wait
        # was interrupted and its time was over.
        if info is not None and info.si_signo in STOP_SIGNALS:
            on_stop(_identify(info))


def _identify(info: signal.struct_siginfo) -> StopSignal:
    """Looked up at once: a `kill` command is gone a moment later."""
    name = signal.Signals(info.si_signo).name
    pid, uid = info.si_pid, info.si_uid
    if pid == 0:
        return StopSignal(name, 0, uid, _user(uid))
    if pid == SYSTEMD_PID:
        somebody = asker(living(), unit_of(os.getpid()) or "")
        if somebody is not None:
            return _ordered(name, somebody)
    return StopSignal(name, pid, uid, _user(uid), _command(pid), unit_of(pid) or "")


def _ordered(name: str, by: Seen) -> StopSignal:
    other = by.login_uid is not None and by.login_uid != by.uid
    return StopSignal(
        name,
        by.pid,
        by.uid,
        _user(by.uid),
        " ".join(by.words)[:COMMAND_CHARS],
        unit_of(by.pid) or "",
        through=_command(SYSTEMD_PID),
        caller=_command(by.parent) if by.parent > SYSTEMD_PID else "",
        login=_user(by.login_uid) if other and by.login_uid is not None else "",
    )


def _command(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    if pid == os.getpid():
        return "this process itself"
    return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:COMMAND_CHARS]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
