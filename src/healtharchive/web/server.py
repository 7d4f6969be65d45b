"""The web server's process: sockets of ours, uvicorn over them, an end that is no error."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.settings import Settings
from healtharchive.web.app import app_of, create_site
from healtharchive.web.attendance import attending
from healtharchive.web.operations_app import create_operations_app
from healtharchive.web.replay_app import create_replay_app
from healtharchive.web.replay_place import ReplayPlace
from healtharchive.work.notifying_systemd import Notice

BACKLOG = 512
GRACE_SECONDS = 5
LATELY_SECONDS = 10.0
STOP_SECONDS = 20.0  # with what runs beside the requests
log = logging.getLogger(__name__)


def serve(settings: Settings, database: Database) -> int:
    """Serve the site until SIGTERM or SIGINT; the exit code. SetupError when a port is taken."""
    with contextlib.ExitStack() as undo:
        pages = undo.enter_context(_listen(settings.bind_host, settings.bind_port, "BIND_PORT"))
        host, port = pages.getsockname()[:2]
        replayed = undo.enter_context(
            _listen(settings.bind_host, _replay_port(settings), "REPLAY_PORT")
        )
        replay = ReplayPlace(replayed.getsockname()[1], settings.replay_url.rstrip("/"))
        operated = undo.enter_context(_operations(settings, (port, replay.port)))
        log.info("the archive is at http://%s:%s/", _in_url(host), port)
        in_main = threading.current_thread() is threading.main_thread()
        notice = Notice.asked() if in_main else Notice()
        site = create_site(settings, database, port, replay)
        others = {replay.port: behind_proxies(create_replay_app(site))}
        listening = [pages, replayed]
        if operated is not None:
            where = operated.getsockname()[:2]
            others[where[1]] = create_operations_app(site, lambda: serving.should_exit)
            listening.append(operated)
            log.info("the operations pages are at http://%s:%s/", _in_url(where[0]), where[1])
        config = uvicorn.Config(
            ByPort(behind_proxies(app_of(site)), others),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # each application decides whom it believes
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        serving = Serving(config, notice)
        with attending(settings, database, serving.lately, serving.end):
            serving.run(sockets=listening)
    return 0


def behind_proxies(app: ASGIApp) -> ASGIApp:
    """The application, told by a proxy on this machine who asks it and over which scheme."""
    wrapped: Any = app  # uvicorn has types of its own for the same thing
    believed = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")  # as uvicorn itself would
    believing: Any = ProxyHeadersMiddleware(wrapped, believed)
    return cast(ASGIApp, believing)


class Serving(uvicorn.Server):
    """uvicorn's server, which tells systemd from within its own loop that it serves."""

    def __init__(self, config: uvicorn.Config, notice: Notice) -> None:
        super().__init__(config)
        self._notice = notice
        self._ticked_at = time.monotonic()

    def lately(self) -> bool:
        """Whether its loop went round within the last seconds: else it hangs."""
        return time.monotonic() - self._ticked_at < LATELY_SECONDS

    def end(self) -> None:
        """End after the requests that are being answered; at once when asked again."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        self._ticked_at = time.monotonic()
        self._notice.alive("serves")
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notice.stopping("it was told to", STOP_SECONDS)
        await super().shutdown(sockets)


class ByPort:
    """An application for each of some ports, and one for requests that came in on any other."""

    def __init__(self, any_other: ASGIApp, by_port: Mapping[int, ASGIApp]) -> None:
        self._any_other = any_other
        self._by_port = by_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What the socket says, which no header of a request can change.
        came_in_on = (scope.get("server") or ("", None))[1]
        await self._by_port.get(came_in_on or 0, self._any_other)(scope, receive, send)


def _replay_port(settings: Settings) -> int:
    """The port of archived pages; 0, any free one, when the pages have any free one too."""
    if settings.replay_port or not settings.bind_port:
        return settings.replay_port
    # The last port there is has none after it.
    return settings.bind_port + 1 if settings.bind_port < 65_535 else settings.bind_port - 1


def _operations(
    settings: Settings, taken: tuple[int, int]
) -> contextlib.AbstractContextManager[socket.socket | None]:
    """The socket of the operations pages; none without a port. It is told by the port alone."""
    port = settings.operations_port
    if not port:
        return contextlib.nullcontext()
    if port in taken:
        raise SetupError(
            f"The operations pages cannot share port {port} with the public pages.",
            "Set HEALTHARCHIVE_OPERATIONS_PORT to a port of their own.",
        )
    return _listen(settings.operations_host, port, "OPERATIONS_PORT", "OPERATIONS_HOST")


def _listen(host: str, port: int, variable: str, host_variable: str = "BIND_HOST") -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        raise SetupError(
            f"The web pages cannot be served on {host} port {port}: {error.strerror or error}.",
            f"Set HEALTHARCHIVE_{host_variable} and HEALTHARCHIVE_{variable} to an address "
            "that is free.",
        ) from error
    return listening


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
