"""The child that sends one message, or asks a heartbeat's address: an order in, a report out.

Mail servers and DNS may hang as they please: who started this child ends it, and it ends itself.
The order comes on stdin, for it holds secrets that a command line would show to everybody.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import re
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from healtharchive.model.errors import INSTALL_PACKAGES

COMMAND = (sys.executable, "-P", "-m", "healtharchive.steward.sending")
OWN_DEADLINE_SECONDS = 60  # for the case that whoever started us is gone
LEAST_SECRET = 3  # a piece of an address that is shorter is no secret, and would mask every word
MASK = "***"
MOST_WHY = 300


@dataclass(frozen=True, slots=True)
class SendingOrder:
    """Where to, and what. A heartbeat has no words."""

    kind: Literal["message", "heartbeat"]
    address: str
    seconds: float
    subject: str = ""
    body: str = ""
    good_news: bool = False


@dataclass(frozen=True, slots=True)
class SendingReport:
    """Whether it was taken, and why not: never a piece of the address."""

    taken: bool
    why: str = ""


def main() -> int:
    """Carry out one order. Always 0 after its report."""
    signal.alarm(OWN_DEADLINE_SECONDS)
    order = SendingOrder(**json.loads(sys.stdin.buffer.read()))
    report = _ask(order) if order.kind == "heartbeat" else _send(order)
    sys.stdout.write(json.dumps(asdict(report)))
    sys.stdout.flush()
    # Not by the usual way out: a library's thread may still hang.
    os._exit(0)


def masked(text: str, address: str) -> str:
    """The text without any piece of the address but its scheme. Pure."""
    scheme, _, rest = address.partition("://")
    parts = urlsplit(f"https://{rest}")
    values = re.sub(r"([?&])[^=&]*=", r"\1", rest)  # `to` and `from` are words
    pieces = {address, rest, *re.split(r"[/?&@:,\s]+", values), parts.netloc, parts.query}
    pieces |= {unquote(each) for each in pieces}
    for piece in sorted(pieces - {scheme}, key=len, reverse=True):
        if len(piece) >= LEAST_SECRET:
            text = text.replace(piece, MASK)
    return text


def _send(order: SendingOrder) -> SendingReport:
    try:
        apprise = importlib.import_module("apprise")  # an extra
    except ImportError:
        why = f"apprise is not installed. Run: {INSTALL_PACKAGES}"
        return SendingReport(False, why)
    said = io.StringIO()
    log = logging.getLogger(apprise.__name__)
    log.handlers, log.propagate = [logging.StreamHandler(said)], False
    log.setLevel(logging.WARNING)
    sender = apprise.Apprise()
    if not sender.add(order.address):
        return SendingReport(False, "it is no address that apprise knows")
    kind = apprise.NotifyType.SUCCESS if order.good_news else apprise.NotifyType.WARNING
    taken = sender.notify(
        body=order.body,
        title=order.subject,
        notify_type=kind,
        body_format=apprise.NotifyFormat.TEXT,
    )
    return SendingReport(True) if taken else _refused(said.getvalue(), order.address)


def _ask(order: SendingOrder) -> SendingReport:
    if urlsplit(order.address).scheme not in ("http", "https"):
        return SendingReport(False, "it is no http or https address")
    request = Request(order.address, headers={"User-Agent": "healtharchive-heartbeat"})
    try:
        with urlopen(request, timeout=order.seconds) as answer:
            answer.read(1024)
    except HTTPError as error:
        return SendingReport(False, f"it answered {error.code}")
    except (OSError, ValueError) as error:
        return _refused(str(error), order.address)
    return SendingReport(True)


def _refused(text: str, address: str) -> SendingReport:
    said = " ".join(masked(text, address).split()).rstrip(".")
    return SendingReport(False, said[:MOST_WHY] or "it was not taken, and nothing was said why")


if __name__ == "__main__":
    sys.exit(main())
