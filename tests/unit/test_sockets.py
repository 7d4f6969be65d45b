"""What `ss` prints of sockets, and whom that connects."""

from __future__ import annotations

from healtharchive.storage.sockets import heard_seconds, parse, partners

LINES = """\
u_str ESTAB 9 0 * 904322 * 904321 users:(("ssh",pid=22266,fd=1),("ssh",pid=22266,fd=0))
u_str ESTAB 0 768 * 904321 * 904322 users:(("sshfs",pid=22264,fd=4))
u_str LISTEN 0 128 /run/a.sock 17 * 0 users:(("other",pid=5,fd=3))
tcp ESTAB 0 0 127.0.0.1:3 127.0.0.1:4 users:(("ssh",pid=22266,fd=3)) lastsnd:3024 lastrcv:3056
tcp ESTAB 0 0 127.0.0.1:4 127.0.0.1:3 users:(("sshd",pid=22268,fd=4)) lastrcv:10
tcp LISTEN 0 128 127.0.0.1:22 0.0.0.0:* users:(("sshd",pid=1,fd=4))
nl UNCONN 0 0 route:kernel *
"""


def test_the_ssh_of_an_sshfs_is_found_and_when_it_heard_from_its_server() -> None:
    sockets = [socket for line in LINES.splitlines() if (socket := parse(line)) is not None]
    assert partners(22264, sockets) == {22266}
    assert partners(5, sockets) == set()
    assert heard_seconds({22264, 22266}, sockets) == 3.056
    assert heard_seconds({22266, 22268}, sockets) == 0.01
    assert heard_seconds({1}, sockets) is None
    assert heard_seconds({22264}, sockets) is None
