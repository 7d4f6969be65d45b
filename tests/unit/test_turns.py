"""A few at a time, a few who wait: whoever comes then is sent away at once."""

from __future__ import annotations

import queue
import threading

import pytest

from healtharchive.search.compare.request import Compared, CompareOrder, Side
from healtharchive.web import comparers
from healtharchive.web.comparers import Comparers
from healtharchive.web.turns import Busy, Turns

PATIENCE_SECONDS = 20.0
FOR_EVER_SECONDS = 600.0


def test_only_a_few_wait_and_the_others_are_sent_away_at_once() -> None:
    turns = Turns(1, "The reader", FOR_EVER_SECONDS)
    turns.take()
    ended: queue.Queue[bool] = queue.Queue()

    def come() -> None:
        try:
            turns.take()
        except Busy:
            ended.put(False)
        else:
            ended.put(True)
            turns.give_back()

    threads = [threading.Thread(target=come, daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    # Three of five, while the turn is still taken: two may wait for it.
    assert [ended.get(timeout=PATIENCE_SECONDS) for _ in range(3)] == [False] * 3
    assert ended.empty()
    turns.give_back()
    assert [ended.get(timeout=PATIENCE_SECONDS) for _ in range(2)] == [True] * 2


def test_nobody_waits_for_ever() -> None:
    turns = Turns(1, "The reader", queue_seconds=0.0)
    turns.take()
    with pytest.raises(Busy, match="The reader is busy"):
        turns.take()
    turns.give_back()
    turns.take()


def test_comparers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    ended: queue.Queue[str] = queue.Queue()

    def compare(order: CompareOrder, _: float) -> Compared:
        go.wait(FOR_EVER_SECONDS)
        return Compared()

    monkeypatch.setattr(comparers, "compare_in_child", compare)
    ours = Comparers(limit=1)
    ours._turns._queue_seconds = FOR_EVER_SECONDS

    def come() -> None:
        try:
            ours.compare(CompareOrder(Side(), Side()))
        except Busy:
            ended.put("sent away")
        else:
            ended.put("compared")

    threads = [threading.Thread(target=come, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert ended.get(timeout=PATIENCE_SECONDS) == "sent away"
    finally:
        go.set()
    assert [ended.get(timeout=PATIENCE_SECONDS) for _ in range(3)] == ["compared"] * 3
