"""Who holds a lease: only a process that is certainly gone may be called gone."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.work.holder import is_gone, this_holder

NAME = (
    "from healtharchive.work.holder import this_holder; print(this_holder(), flush=True); input()"
)


def test_a_living_holder_is_not_gone_and_an_ended_one_is() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        assert not is_gone(holder)
        process.communicate("end\n")
    assert is_gone(holder)


def test_this_process_is_not_gone_but_an_earlier_one_with_its_number_is() -> None:
    assert not is_gone(this_holder())
    *same, start = this_holder().split(":")
    assert is_gone(":".join([*same, str(int(start) - 1)]))


@pytest.mark.parametrize("part", [0, 2])
def test_a_holder_on_another_machine_or_in_another_container_is_never_called_gone(
    part: int,
) -> None:
    parts = this_holder().split(":")
    parts[part] += "0"
    parts[3] = "1"
    assert not is_gone(":".join(parts))


@given(st.one_of(st.text(), st.text().map(lambda text: f"{socket.gethostname()}:{text}")))
def test_a_name_that_is_no_holder_is_never_called_gone(name: str) -> None:
    assert not is_gone(name)
