"""The child that fetches certificates: from a file, or from a server by a TLS handshake.

Run as a script: `python -I -S certificate_look.py ORDER`, ORDER being JSON: {"file": PATH} or
{"host": NAME, "port": N, "seconds": N}. Prints {"pem": TEXT} or {"trouble": TEXT}. Nothing is
verified: a certificate that has ended is just what is looked for.
"""

import json
import socket
import ssl
import sys
from typing import Any

MOST_CHARACTERS = 1_000_000


def fetch(order: dict[str, Any]) -> str:
    """The certificates as PEM. OSError when they cannot be had."""
    if "file" in order:
        with open(order["file"], encoding="ascii", errors="replace") as file:
            return file.read(MOST_CHARACTERS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = (order["host"], order["port"])
    with (
        socket.create_connection(address, timeout=order["seconds"]) as connection,
        context.wrap_socket(connection, server_hostname=order["host"]) as tls,
    ):
        found = tls.getpeercert(binary_form=True)
    if found is None:
        raise OSError("the server showed no certificate")
    return ssl.DER_cert_to_PEM_cert(found)


def main() -> None:
    try:
        answer = {"pem": fetch(json.loads(sys.argv[1]))}
    except OSError as error:  # an ssl.SSLError is one, and so is a time-out
        answer = {"trouble": error.strerror or str(error) or type(error).__name__}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
