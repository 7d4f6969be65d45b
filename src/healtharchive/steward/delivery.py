"""Bringing a message to every address by children that are ended when they hang."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from healtharchive.steward.alert_text import Message
from healtharchive.steward.sending import COMMAND, SendingOrder, SendingReport
from healtharchive.steward.telling import Occasion
from healtharchive.storage.errand import abandon

SEND_SECONDS = 30.0

Carry = Callable[[Sequence[SendingOrder]], list[SendingReport]]


def orders_for(message: Message, addresses: Sequence[str]) -> list[SendingOrder]:
    """The message once for each address."""
    good = message.occasion is Occasion.RECOVERY
    return [
        SendingOrder("message", each, SEND_SECONDS, message.subject, message.body, good)
        for each in addresses
    ]


def heartbeat_order(address: str) -> SendingOrder:
    """A heartbeat's address, to be asked once."""
    return SendingOrder("heartbeat", address, SEND_SECONDS / 3)


def carry_out(orders: Sequence[SendingOrder]) -> list[SendingReport]:
    """What became of each order, at most half a minute later. All are sent at the same time."""
    until = time.monotonic() + SEND_SECONDS
    children = [_begin(each) for each in orders]
    return [_end(each, max(until - time.monotonic(), 0.1)) for each in children]


def failures(orders: Sequence[SendingOrder], reports: Sequence[SendingReport]) -> list[str]:
    """Which addresses took nothing and why, by their place in the setting: they are secret."""
    return [
        f"address {number} ({order.address.partition(':')[0]}): {report.why}"
        for number, (order, report) in enumerate(zip(orders, reports, strict=True), 1)
        if not report.taken
    ]


def _begin(order: SendingOrder) -> subprocess.Popen[bytes]:
    # Our own settings are of no use to it, and some are secret.
    known = {k: v for k, v in os.environ.items() if not k.startswith("HEALTHARCHIVE_")}
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a library's last words might quote the address
        start_new_session=True,
        cwd="/",
        env=known,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asdict(order)).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended at once, which its missing report says
    return process


def _end(process: subprocess.Popen[bytes], seconds: float) -> SendingReport:
    assert process.stdout is not None
    process.stdin = None  # closed: communicate() would flush it
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        abandon(process)
        return SendingReport(False, f"it was not done within {SEND_SECONDS:.0f} s")
    try:
        return SendingReport(**json.loads(output))
    except ValueError:
        return SendingReport(False, f"the child that sends ended with {process.returncode}")
