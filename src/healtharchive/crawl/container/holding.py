"""The one container of a job: adopted or started, watched, stopped, removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from healtharchive.crawl.container import command
from healtharchive.crawl.container.files import relax
from healtharchive.crawl.container.following import Following
from healtharchive.crawl.container.logs import LogReader
from healtharchive.crawl.container.runner import KILL_SECONDS, RUN_SECONDS, Container, Runner
from healtharchive.crawl.container.starting import wait_for_starts
from healtharchive.model.clock import Clock
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import SetupError
from healtharchive.model.layout import CRAWLER_LOG_NAME
from healtharchive.model.orders import CrawlOrder, Report

POLL_SECONDS = 2.0
END_POLL_SECONDS = 0.2
FOLLOW_SECONDS = 5.0  # before a log that has broken off is followed again
DRAIN_SECONDS = 5.0
DISCARD_SECONDS = 10.0  # of grace for a container that nobody wants
# So often in a row the engine may give no answer about a container before the attempt ends.
SILENCES = 3


@dataclass(slots=True)
class Holding:
    """The container that this attempt holds, if any, and the log that is read of it."""

    order: CrawlOrder
    options: ContainerOptions
    runner: Runner
    clock: Clock
    report: Callable[[Report], None]
    log: LogReader
    container: Container | None = None
    _following: Following | None = None
    _polled_at: float = 0.0
    _followed_at: float = 0.0
    _silent: int = 0
    _work: Path = field(init=False)

    def __post_init__(self) -> None:
        self._work = command.work_directory(self.order)

    # -- beginning -----------------------------------------------------------------------------

    async def take_over(self) -> bool:
        """Adopt the container that an earlier attempt left, running or ended; whether there is one.

        Of several one that runs stays, the newest; one that was never started is taken away. What
        an attempt that is dead had begun to start is waited for.
        """
        ours = command.labels(self.order)[command.STATE_LABEL]
        await wait_for_starts(f"{command.STATE_LABEL}={ours}", self.clock, RUN_SECONDS)
        found = await self.runner.find(self.order.job_id, ours)
        usable = [each for each in found if each.running or each.status in ("exited", "stopped")]
        for other in found:
            if not usable or other.id != usable[0].id:
                await self._discard(other)
        if not usable:
            return False
        self.container = usable[0]
        still = "runs" if self.container.running else "has ended"
        what = (
            f"adopted the container {self.container.name}, which attempt"
            f" {self.container.attempt} started and which {still}"
        )
        self._tell(what, self.container)
        self._follow()
        return True

    async def start(self, workers: int, config: str | None) -> None:
        """Start the crawler. SetupError when the engine or the image cannot be used."""
        await self.runner.require_image(self.options.image)
        for left in await self.runner.find(
            self.order.job_id, command.labels(self.order)[command.STATE_LABEL]
        ):
            await self._discard(left)
        self.log.forget()
        run = command.run_words(self.order, self.options, self.runner.program)
        crawler = command.crawler_words(self.order, self.options, workers, config)
        container_id = await self.runner.run([*run, *crawler])
        self.container = await self.runner.inspect(container_id)
        if self.container is None:
            raise SetupError(
                f"The container {container_id[:12]} was gone as soon as it was started.",
                f"See who removes it: {self.runner.program} events --since 10m",
            )
        what = f"started the container {self.container.name} with {workers} workers"
        self._tell(what, self.container, resumed=config is not None, workers=workers)
        self._follow()

    def _follow(self) -> None:
        assert self.container is not None
        self._followed_at = self.clock.monotonic()
        self.log.begin_again()
        since = ["--since", self.log.since] if self.log.since else []
        words = self.runner.command("logs", "--follow", *since, self.container.id)
        self._following = Following(words, self.log, self._work.parent / CRAWLER_LOG_NAME)
        self._following.start()

    # -- watching ------------------------------------------------------------------------------

    async def look(self) -> Container | None:
        """The container, asked after every few seconds, and at once when its log has ended."""
        container, following = self.container, self._following
        if container is None or not container.running:
            return container
        now = self.clock.monotonic()
        ended = following is not None and following.ended
        if now - self._polled_at < (POLL_SECONDS / 4 if ended else POLL_SECONDS):
            return container
        self._polled_at = now
        try:
            seen = await self.runner.inspect(container.id)
        except SetupError:
            self._silent += 1
            if self._silent >= SILENCES:
                raise
            return container
        self._silent = 0
        # Somebody has removed it: what it wrote is there all the same.
        self.container = seen or replace(container, status="removed", exit_code=137)
        if self.container.running and ended and now - self._followed_at >= FOLLOW_SECONDS:
            self._follow()
        return self.container

    async def read_to_the_end(self) -> None:
        """Read what is left of an ended container's log."""
        if self._following is not None:
            await self._following.drain(DRAIN_SECONDS)

    async def relax(self) -> None:
        """Let everybody read what the crawler has written so far."""
        done = await asyncio.to_thread(relax, self._work)
        if done.refused:
            words = command.relax_words(self.order, self.options, self.runner.program)
            await self.runner.relax(self.container, words)

    # -- the end -------------------------------------------------------------------------------

    async def stop(self, deadline: Callable[[], float]) -> None:
        """Stop a running crawler: it is asked first, and killed at the deadline.

        The deadline, by the monotonic clock, is asked for again and again: it may come nearer.
        """
        if self.container is None or not self.container.running:
            return
        await self._end(self.container, deadline)
        await self.read_to_the_end()
        seen = await self.runner.inspect(self.container.id)
        self.container = seen or replace(self.container, status="removed")

    async def _end(self, container: Container, deadline: Callable[[], float]) -> None:
        if self.clock.monotonic() < deadline():
            await self.runner.signal(container.id, container.stop_signal)
            if await self._wait_for_end(container, deadline):
                return
        await self.runner.signal(container.id, "SIGKILL")
        killed_at = self.clock.monotonic()
        await self._wait_for_end(container, lambda: killed_at + KILL_SECONDS)

    async def _wait_for_end(self, container: Container, deadline: Callable[[], float]) -> bool:
        while self.clock.monotonic() < deadline():
            seen = await self.runner.inspect(container.id)
            if seen is None or not seen.running:
                return True
            await asyncio.sleep(END_POLL_SECONDS)
        return False

    async def remove(self) -> None:
        """Take the ended container away: its files are harvested, its log is read."""
        await self.let_go()
        if self.container is not None:
            await self.runner.remove(self.container.id)
            self.container = None

    async def let_go(self) -> None:
        """Read its log no more; the container itself is left as it is."""
        if self._following is not None:
            await self._following.close()
            self._following = None

    async def _discard(self, container: Container) -> None:
        if container.running:
            grace_ends_at = self.clock.monotonic() + min(self.options.stop_seconds, DISCARD_SECONDS)
            await self._end(container, lambda: grace_ends_at)
        await self.runner.remove(container.id)
        self._tell(f"removed the container {container.name}, which was left over", container)

    def _tell(self, what: str, container: Container, **more: str | int | float | bool) -> None:
        evidence: dict[str, str | int | float | bool | None] = {
            "container": container.id[:12],
            "started_by_attempt": container.attempt,
            **more,
        }
        self.report(Report("note", what=what, evidence=evidence))
