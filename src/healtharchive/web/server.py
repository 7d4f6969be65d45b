"""The web server's process: two sockets of ours, uvicorn over them, an end that is no error."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.settings import Settings
from healtharchive.web.app import app_of, create_site
from healtharchive.web.replay_app import create_replay_app
from healtharchive.web.replay_place import ReplayPlace

BACKLOG = 512
GRACE_SECONDS = 5
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
        log.info("the archive is at http://%s:%s/", _in_url(host), port)
        if threading.current_thread() is threading.main_thread():
            # uvicorn raises the signal it stopped for once more, for whoever handled it before.
            signal.signal(signal.SIGTERM, _stopped)
            signal.signal(signal.SIGINT, _stopped)
        site = create_site(settings, database, port, replay)
        config = uvicorn.Config(
            ByPort(app_of(site), replay.port, create_replay_app(site)),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[pages, replayed])
    return 0


class ByPort:
    """One application for requests that came in on `port`, another for all others."""

    def __init__(self, others: ASGIApp, port: int, app: ASGIApp) -> None:
        self._others = others
        self._port = port
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What the socket says, which no header of a request can change.
        came_in_on = (scope.get("server") or ("", None))[1]
        app = self._app if came_in_on == self._port else self._others
        await app(scope, receive, send)


def _replay_port(settings: Settings) -> int:
    """The port of archived pages; 0, any free one, when the pages have any free one too."""
    if settings.replay_port or not settings.bind_port:
        return settings.replay_port
    # The last port there is has none after it.
    return settings.bind_port + 1 if settings.bind_port < 65_535 else settings.bind_port - 1


def _listen(host: str, port: int, variable: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        raise SetupError(
            f"The web pages cannot be served on {host} port {port}: {error.strerror or error}.",
            f"Set HEALTHARCHIVE_BIND_HOST and HEALTHARCHIVE_{variable} to an address that is free.",
        ) from error
    return listening


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stopped(_number: int, _frame: FrameType | None) -> None:
    log.info("the web server has stopped")
