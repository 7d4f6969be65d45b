"""Docker or podman, as a command that is called: every call has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from signal import Signals
from typing import Any

from healtharchive.crawl.container.command import ATTEMPT_LABEL, JOB_LABEL, RELAX, STATE_LABEL
from healtharchive.crawl.takeover import runs
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import BadInput, SetupError

CALL_SECONDS = 30.0
RUN_SECONDS = 120.0
KILL_SECONDS = 5.0
REAP_SECONDS = 2.0
RUNNING = ("running", "paused", "restarting", "stopping")
# Exit codes of `run` itself: the image's program cannot be run, or is not there.
PROGRAM_FAULTS = (126, 127)
NO_SIGNAL = "SIGURG"  # which nobody minds who did not ask for it: it tells only who is there
KILLED = 137
SERVICE = "CONTAINER_HOST"  # podman asks a service, which was started with its runtime


@dataclass(frozen=True, slots=True)
class Said:
    """What a call answered; `status` is None when it did not answer in time and was killed."""

    status: int | None
    out: str
    err: str

    @property
    def why(self) -> str:
        """Its complaint in one line."""
        if self.status is None:
            return "no answer in time"
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1][:300] if lines else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of ours as the engine sees it. `attempt` is who started it.

    `monitor` is the process that tells podman of its end (conmon); 0 where the engine has none.
    """

    id: str
    name: str
    status: str
    exit_code: int
    out_of_memory: bool
    attempt: int
    started_at: str
    stop_signal: str = "SIGTERM"
    monitor: int = 0

    @property
    def running(self) -> bool:
        """Whether its crawler may still write."""
        return self.status in RUNNING

    @property
    def unwatched(self) -> bool:
        """Whether nobody would tell the engine of its end."""
        return self.running and self.monitor > 0 and not runs(self.monitor)


class Runner:
    """One container engine. SetupError when it cannot do what it must, with what mends it."""

    def __init__(self, program: str, path: str, runtime: str = "") -> None:
        self.program = program
        self._words = [path]
        if runtime and program == "podman" and SERVICE not in os.environ:
            self._words += ["--runtime", runtime]

    def command(self, *words: str) -> list[str]:
        """The whole command line of a call."""
        return [*self._words, *words]

    async def call(self, *words: str, timeout_seconds: float = CALL_SECONDS) -> Said:
        """Run a command of the engine; one that does not answer in time is killed."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command(*words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return Said(127, "", str(error))
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_seconds)
        except (TimeoutError, asyncio.CancelledError) as error:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                process.kill()
                await asyncio.wait_for(process.wait(), REAP_SECONDS)
            if isinstance(error, asyncio.CancelledError):
                raise
            return Said(None, "", "")
        return Said(process.returncode, _text(out), _text(err))

    async def require_image(self, image: str) -> None:
        """SetupError when the image is not there: nothing is pulled unasked."""
        said = await self.call("image", "inspect", "--format", "{{.Id}}", image)
        if said.status is None:
            raise self._silent(said)
        if said.status != 0:
            raise SetupError(
                f"The image {image} is not there ({self.program}: {said.why}).",
                f"Fetch it: {self.program} pull {image}",
            )

    async def run(self, words: Sequence[str]) -> str:
        """Start a container; its id."""
        said = await self.call("run", *words, timeout_seconds=RUN_SECONDS)
        if said.status in PROGRAM_FAULTS:
            raise BadInput(
                f"The image's program cannot be run: {said.why}.",
                "Correct `image` and `command` of the source's container options.",
            )
        if said.status != 0:
            raise SetupError(
                f"{self.program} could not start the container: {said.why}.",
                f"See what it complains of: {self.program} info",
            )
        return said.out.strip().splitlines()[-1]

    async def find(self, job_id: int, state: str) -> list[Container]:
        """This job's containers, those that run first, then the newest."""
        said = await self.call(
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            f"label={JOB_LABEL}={job_id}",
            "--filter",
            f"label={STATE_LABEL}={state}",
        )
        if said.status != 0:
            raise self._silent(said)
        found = [await self.inspect(each) for each in said.out.split()]
        there = [each for each in found if each is not None]
        return sorted(
            there, key=lambda each: (each.running, each.attempt, each.started_at), reverse=True
        )

    async def inspect(self, container_id: str) -> Container | None:
        """The container as it is now; None when it is gone. SetupError when nobody answers.

        When its conmon was killed, podman says "running" for ever: then a signal that does no harm
        tells whether it does. The second look is for one that ended by itself just now.
        """
        seen = await self._inspect(container_id)
        if seen is None or not seen.unwatched or await self._takes_signals(container_id):
            return seen
        again = await self._inspect(container_id)
        if again is None or not again.unwatched:
            return again
        return replace(again, status="stopped", exit_code=KILLED)

    async def _takes_signals(self, container_id: str) -> bool:
        words = ("kill", "--signal", NO_SIGNAL, container_id)
        said = await self.call(*words, timeout_seconds=KILL_SECONDS)
        return said.status in (0, None)  # without an answer nothing is known

    async def _inspect(self, container_id: str) -> Container | None:
        said = await self.call("container", "inspect", container_id)
        if said.status is None:
            raise self._silent(said)
        if said.status != 0:
            if "no such" in said.err.lower():
                return None
            raise self._silent(said)
        return _container(json.loads(said.out)[0])

    async def signal(self, container_id: str, name: str) -> None:
        """Send its crawler a signal; a container that has ended does not mind."""
        await self.call("kill", "--signal", name, container_id, timeout_seconds=KILL_SECONDS)

    async def remove(self, container_id: str) -> None:
        """Take an ended container away; one that still runs is killed."""
        words = ["rm", "--force"]
        if self.program == "podman":
            words += ["--time", "0"]
        await self.call(*words, container_id)

    async def relax(self, container: Container | None, run_words: Sequence[str]) -> Said:
        """Let everybody read the crawler's files, as the user whose files they are.

        In the container while it runs, else in one of its own, started with `run_words`.
        """
        if container is not None and container.running:
            return await self.call("exec", container.id, *RELAX, timeout_seconds=RUN_SECONDS)
        return await self.call("run", *run_words, timeout_seconds=RUN_SECONDS)

    def _silent(self, said: Said) -> SetupError:
        return _unusable(f"{self.program} does not answer ({said.why})", self.program)


async def find_runner(
    options: ContainerOptions, which: Callable[[str], str | None] = shutil.which
) -> Runner:
    """The container engine to use: the one that is asked for, or the first that answers."""
    wanted = ("docker", "podman") if options.engine == "auto" else (options.engine,)
    wrong: list[str] = []
    for program in wanted:
        path = which(program)
        if path is None:
            wrong.append(f"{program} is not installed")
            continue
        runner = Runner(program, path, options.runtime)
        said = await runner.call("version")
        if said.status == 0:
            return runner
        wrong.append(f"{program} does not answer ({said.why})")
    raise _unusable("; ".join(wrong), wanted[0] if len(wanted) == 1 else "")


def _unusable(wrong: str, program: str) -> SetupError:
    installed = "is not installed" not in wrong
    if program == "docker" and installed:
        cure = "Start it: systemctl start docker"
    elif program == "podman" and installed:
        cure = "See what it complains of: podman info"
    else:
        cure = f"Install one: apt-get install {program or 'podman'}"
    return SetupError(f"No container can be run: {wrong}.", cure)


def _container(facts: dict[str, Any]) -> Container:
    state = facts.get("State") or {}
    known = (facts.get("Config") or {}).get("Labels") or {}
    attempt = str(known.get(ATTEMPT_LABEL, ""))
    return Container(
        id=str(facts.get("Id", "")),
        name=str(facts.get("Name", "")).lstrip("/"),
        status=str(state.get("Status", "")).lower(),
        exit_code=int(state.get("ExitCode", 0)),
        out_of_memory=bool(state.get("OOMKilled", False)),
        attempt=int(attempt) if attempt.isdigit() else 0,
        started_at=str(state.get("StartedAt", "")),
        stop_signal=_stop_signal((facts.get("Config") or {}).get("StopSignal")),
        monitor=int(state.get("ConmonPid") or 0),
    )


def _stop_signal(asked: object) -> str:
    """The image's signal by name: docker gives a name or nothing, podman a number."""
    try:
        return Signals(int(str(asked))).name
    except ValueError:
        return str(asked or "SIGTERM")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
