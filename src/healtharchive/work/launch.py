"""Becomes a child's program, after tying the child's life to its parent's.

Run as a script: `python -I -S launch.py PARENT_PID PROGRAM ARGUMENT…`. It is a program of its own
because the worker has threads: between fork and exec of such a process hardly anything is safe,
and the alternative, `preexec_fn`, runs exactly there.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); it survives exec


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the line above: then nobody would send the signal.
    if os.getppid() != parent:
        sys.exit("the worker that started this child is gone")
    # The worker blocks the signals that it waits for, and a child inherits that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
