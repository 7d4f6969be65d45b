"""The web server's process: a socket of ours, uvicorn over it, an end that is no error."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from types import FrameType

import uvicorn

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.settings import Settings
from healtharchive.web.app import create_app

BACKLOG = 512
GRACE_SECONDS = 5
log = logging.getLogger(__name__)


def serve(settings: Settings, database: Database) -> int:
    """Serve the site until SIGTERM or SIGINT; the exit code. SetupError when the port is taken."""
    with _listen(settings) as listening:
        host, port = listening.getsockname()[:2]
        log.info("the archive is at http://%s:%s/", _in_url(host), port)
        if threading.current_thread() is threading.main_thread():
            # uvicorn raises the signal it stopped for once more, for whoever handled it before.
            signal.signal(signal.SIGTERM, _stopped)
            signal.signal(signal.SIGINT, _stopped)
        config = uvicorn.Config(
            create_app(settings, database),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.bind_host, settings.bind_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        raise SetupError(
            f"The web pages cannot be served on {host} port {port}: {error.strerror or error}.",
            "Set HEALTHARCHIVE_BIND_HOST and HEALTHARCHIVE_BIND_PORT to an address that is free.",
        ) from error
    return listening


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stopped(_number: int, _frame: FrameType | None) -> None:
    log.info("the web server has stopped")
