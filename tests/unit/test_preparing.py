"""Who has a WACZ prepared, who waits for it, and how long a failure is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.search.collection import Collection
from healtharchive.search.collection_child import Said
from healtharchive.web import preparing
from healtharchive.web.preparing import MOST_WAITING, BeingPrepared, BeingRepaired, Preparing
from tests.lab.queue import SetClock

DEAD = Said("out_of_reach", reason="its storage hangs")


def named(name: str, title: str = "Lab") -> Collection:
    return Collection(CollectionName(CollectionKind.JOB, name), title, ())


@dataclass
class Children:
    """What the children do: each is at work until it is told how it ended."""

    endings: dict[str, threading.Event] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    def prepare(self, name: CollectionName, *_: object) -> Said:
        self.sent.append(name.name)
        if name.name in self.endings:
            self.endings[name.name].wait(30)
        return DEAD

    def hang(self, name: str) -> None:
        self.endings[name] = threading.Event()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    made = Children()
    monkeypatch.setattr(preparing, "prepare_in_child", made.prepare)
    yield made
    for ending in made.endings.values():
        ending.set()


@dataclass
class House:
    """A server's `Preparing`, and its clock."""

    directory: Path
    clock: SetClock = field(default_factory=SetClock)

    def __post_init__(self) -> None:
        self.preparing = Preparing(self.clock)

    def ask(self, collection: Collection) -> type[Exception]:
        """What somebody is told who asks for it."""
        with pytest.raises((BeingPrepared, BeingRepaired)) as told:
            self.preparing.ready(collection, self.directory, {})
        return told.type


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_failure_is_remembered_for_longer_each_time(house: House, children: Children) -> None:
    for seconds in (10, 30, 90, 270, 600, 600):
        before = len(children.sent)
        assert house.ask(named("1")) is BeingRepaired
        assert len(children.sent) == before + 1
        house.clock.advance(seconds)
        assert house.ask(named("1")) is BeingRepaired
        assert len(children.sent) == before + 1
        house.clock.advance(1)


def test_a_collection_that_has_changed_is_tried_at_once(house: House, children: Children) -> None:
    house.ask(named("1"))
    house.ask(named("1", "Its segments are indexed again"))
    assert children.sent == ["1", "1"]


def test_dead_collections_leave_a_place_for_the_others(
    house: House, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "12":
        assert house.ask(named(name)) is BeingRepaired
        children.hang(name)
    house.clock.advance(11)
    with monkeypatch.context() as eager:
        eager.setattr(preparing, "PATIENCE_SECONDS", 0.0)
        for name in "12":
            assert house.ask(named(name)) is BeingPrepared
    assert house.ask(named("3")) is BeingRepaired  # its own answer
    assert children.sent == ["1", "2", "1", "3"]


def test_when_many_wait_the_others_are_told_at_once(
    house: House, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "PATIENCE_SECONDS", 30.0)
    children.hang("1")
    inside = threading.Semaphore(0)
    wait = threading.Event.wait

    def noted(self: threading.Event, timeout: float | None = None) -> bool:
        if timeout == preparing.PATIENCE_SECONDS and self is not children.endings["1"]:
            inside.release()
        return wait(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", noted)
    waiting = [in_thread(lambda: house.ask(named("1"))) for _ in range(MOST_WAITING)]
    for _ in waiting:
        assert inside.acquire(timeout=30)
    assert house.ask(named("1")) is BeingPrepared
    assert all(each.is_alive() for each in waiting)  # their patience is not over yet
    children.endings["1"].set()
    for each in waiting:
        each.join(30)
    assert not any(each.is_alive() for each in waiting)


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
