"""A mail server that keeps what it gets, or drips its greeting so slowly that it never ends."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

DRIP_SECONDS = 0.2  # below every time-out of a socket


@dataclass
class Mailbox:
    """What arrived. While `drips` is set, a connection gets a greeting without an end."""

    port: int = 0
    drips: threading.Event = field(default_factory=threading.Event)
    messages: list[Message] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        """Its address for apprise."""
        return f"mailto://127.0.0.1:{self.port}?from=archive@example.org&to=operator@example.org"

    def texts(self) -> list[str]:
        """The text of each message, in all its parts."""
        return ["\n".join(_parts(each)) for each in self.messages]


def _parts(message: Message) -> list[str]:
    parts = [each for each in message.walk() if not each.is_multipart()]
    bodies = [each.get_payload(decode=True) for each in parts]
    return [each.decode("utf-8", "replace") for each in bodies if isinstance(each, bytes)]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server on 127.0.0.1 for as long as the block."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                _drip(self, box) if box.drips.is_set() else _talk(self, box)
            except OSError:
                return  # the other side was killed, as a test wants it

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Session) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield box
        finally:
            box.over.set()
            server.shutdown()
            thread.join(10.0)


def _drip(session: socketserver.StreamRequestHandler, box: Mailbox) -> None:
    session.wfile.write(b"220-")
    while not box.over.wait(DRIP_SECONDS):
        session.wfile.write(b".")


def _talk(session: socketserver.StreamRequestHandler, box: Mailbox) -> None:
    session.wfile.write(b"220 lab ready\r\n")
    while line := session.rfile.readline():
        verb = line[:4].upper()
        if verb == b"DATA":
            session.wfile.write(b"354 go on\r\n")
            box.messages.append(message_from_bytes(_data(session)))
        if verb == b"QUIT":
            session.wfile.write(b"221 bye\r\n")
            return
        session.wfile.write(b"250 fine\r\n")


def _data(session: socketserver.StreamRequestHandler) -> bytes:
    lines = []
    while (line := session.rfile.readline()) not in (b".\r\n", b""):
        lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    return b"".join(lines)
