"""Becomes Chromium, after tying its life to its driver's and writing down who they are.

Run as a script: `python -I -S launch.py PROFILE CHROMIUM ARGUMENT…`, by playwright's driver. It is
a program of its own because the driver knows no death signal, and Chromium outlives its driver.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); it survives exec
PR_CAPBSET_DROP = 24
LAST_CAPABILITY = 40


def started(pid: int) -> str:
    """When a process began, in clock ticks since boot (proc(5), the 22nd field of its stat)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[19]


def main() -> None:
    profile, program = sys.argv[1], sys.argv[2:]
    driver = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Where we are root, Chromium has no sandbox and puts itself before all others: then at least
    # it has none of root's powers, nor a higher priority. Where we are not, this does nothing.
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    # The driver may have died before the line above: then nobody would send the signal.
    if os.getppid() != driver or driver == 1:
        sys.exit("the driver that started this browser is gone")
    os.chdir(profile)
    with open("processes.part", "w", encoding="ascii") as file:
        file.write(f"{driver} {started(driver)} {os.getpid()} {started(os.getpid())}\n")
    os.rename("processes.part", "processes")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
