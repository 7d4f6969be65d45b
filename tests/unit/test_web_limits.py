"""Who a client is, and how much one may ask for."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.errors import SetupError
from healtharchive.web.limits import Allowance, client_of, line_of, networks


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return {"type": "http", "client": (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ("", "198.51.100.7", (), "198.51.100.7"),
        ("", "198.51.100.7", ("203.0.113.9",), "198.51.100.7"),  # anyone can say that
        ("127.0.0.1", "127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1", ("192.0.2.1, 203.0.113.9",), "203.0.113.9"),
        (
            "127.0.0.1, 10.0.0.0/8",
            "127.0.0.1",
            ("192.0.2.1, 203.0.113.9, 10.1.2.3",),
            "203.0.113.9",
        ),
        ("127.0.0.1", "127.0.0.1", ("192.0.2.1", "203.0.113.9"), "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1", ("nonsense",), "127.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", ("10.0.0.2",), "10.0.0.2"),
        ("", "::ffff:198.51.100.7", (), "198.51.100.7"),
        ("::1", "::1", ("2001:db8::5",), "2001:db8::5"),
    ],
)
def test_a_client_is_who_trusted_proxies_say_it_is(
    trusted: str, peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert str(client_of(scope(peer, *forwarded), networks(trusted))) == client


def test_a_peer_without_an_address_is_nobody() -> None:
    assert client_of({"type": "http", "client": None, "headers": []}, ()) is None
    assert client_of(scope("testclient"), ()) is None


def test_one_ipv6_line_shares_one_allowance() -> None:
    addresses = ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1")
    ours, same, other = (line_of(ip_address(each)) for each in addresses)
    assert ours == same != other


def test_a_wrong_proxy_is_one_sentence() -> None:
    with pytest.raises(SetupError, match="HEALTHARCHIVE_TRUSTED_PROXIES cannot be used"):
        networks("127.0.0.1, nginx")


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    allowance = Allowance(per_second=2.0, burst=3)
    assert [allowance.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert allowance.take("a", 0.0) == 0.5
    assert allowance.take("b", 0.0) == 0.0
    assert allowance.take("a", 0.5) == 0.0
    assert allowance.take("a", 0.5) > 0.0
    assert [allowance.take("a", 99.0) for _ in range(4)][-1] > 0.0  # no more than a burst is saved


@given(
    st.lists(st.floats(0.0, 5.0), max_size=60),
    st.floats(0.5, 50.0),
    st.integers(1, 10),
)
def test_no_client_gets_more_than_its_burst_and_its_rate(
    pauses: list[float], per_second: float, burst: int
) -> None:
    allowance = Allowance(per_second, burst)
    now, granted = 0.0, 0
    for pause in pauses:
        now += pause
        granted += allowance.take("a", now) == 0.0
        assert granted <= burst + now * per_second + 1e-6


def test_a_refused_client_is_let_in_after_the_wait_it_was_told() -> None:
    allowance = Allowance(per_second=0.3, burst=1)
    allowance.take("a", 0.0)
    wait = allowance.take("a", 1.0)
    assert allowance.take("a", 1.0 + wait + 1e-9) == 0.0


def test_memory_does_not_grow_with_the_number_of_clients() -> None:
    allowance = Allowance(1.0, 1, most_clients=100)
    for number in range(1000):
        allowance.take(str(number), 0.0)
    assert len(allowance._buckets) == 100
