"""Errors of shipping, and the errno that stands for what a network library raises.

Every error of a target leaves this room as an OSError with an errno, so that the one classifier
(`model.blame`) knows SFTP and S3 as it knows a mount.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from healtharchive.model.blame import EngineMissing, chain


class ShippingError(OSError):
    """One file cannot be shipped or trusted as it is; the target itself works."""


class Differs(ShippingError):
    """What is read from the target is not what was written to it."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(errno.EIO, what, name)


class Occupied(ShippingError):
    """Another archive's verified file has this name on the target; it is left alone."""

    def __init__(self, name: str) -> None:
        what = "the manifest vouches for another file of this name; give the target to one archive"
        super().__init__(errno.EEXIST, what, name)


class LocalTrouble(ShippingError):
    """The local file cannot be read, or is not what its seal says."""


@contextmanager
def local_file(path: str) -> Iterator[None]:
    """An OSError within the block is the local file's, and says so."""
    try:
        yield
    except ShippingError:
        raise
    except OSError as error:
        raise LocalTrouble(error.errno or errno.EIO, error.strerror or str(error), path) from error


# What the codes of S3 servers stand for; the numbers are for servers that send a status only.
CODES = {
    "NoSuchKey": errno.ENOENT,
    "NoSuchBucket": errno.ENOENT,
    "NoSuchUpload": errno.ENOENT,
    "404": errno.ENOENT,
    "AccessDenied": errno.EACCES,
    "InvalidAccessKeyId": errno.EACCES,
    "SignatureDoesNotMatch": errno.EACCES,
    "403": errno.EACCES,
    "QuotaExceeded": errno.EDQUOT,
    "XMinioStorageFull": errno.ENOSPC,
    "InsufficientStorage": errno.ENOSPC,
    "507": errno.ENOSPC,
    "RequestTimeout": errno.ETIMEDOUT,
    "SlowDown": errno.ETIMEDOUT,
    "ServiceUnavailable": errno.ETIMEDOUT,
    "503": errno.ETIMEDOUT,
}
# Class names of paramiko, botocore and aiohttp, told apart without importing any of them.
CLASSES = {
    "AuthenticationException": errno.EACCES,
    "BadHostKeyException": errno.EACCES,
    "NoCredentialsError": errno.EACCES,
    "PartialCredentialsError": errno.EACCES,
    "PermissionError": errno.EACCES,
    "FileNotFoundError": errno.ENOENT,
    "ConnectTimeoutError": errno.ETIMEDOUT,
    "ReadTimeoutError": errno.ETIMEDOUT,
    "TimeoutError": errno.ETIMEDOUT,
    "EndpointConnectionError": errno.ECONNREFUSED,
    "gaierror": errno.EHOSTUNREACH,
    "HTTPClientError": errno.ECONNABORTED,
    "ClientConnectionError": errno.ECONNABORTED,
    "ClientPayloadError": errno.ECONNABORTED,
    "ConnectionError": errno.ECONNABORTED,
    "SSHException": errno.ECONNABORTED,
    "EOFError": errno.ECONNABORTED,
    "BotoCoreError": errno.EIO,
}
# A connection that a peer dropped is one fault whichever side noticed; EREMOTEIO is s3fs's word.
SAME = {
    errno.ECONNRESET: errno.ECONNABORTED,
    errno.EPIPE: errno.ECONNABORTED,
    errno.EREMOTEIO: errno.EIO,
    errno.EBUSY: errno.ETIMEDOUT,
}


def errno_of(error: BaseException) -> int | None:
    """The errno of a file operation that fits an error best; None when it is none of storage's."""
    for link in chain(error):
        code = _code(link)
        if code in CODES:
            return CODES[code]
    for link in chain(error):
        number = _errno_of_one(link)
        if number is not None:
            return SAME.get(number, number)
    return None


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _errno_of_one(error: BaseException) -> int | None:
    attempts = getattr(error, "errors", None)  # paramiko's NoValidConnectionsError
    if isinstance(attempts, dict):
        numbers = [each.errno for each in attempts.values() if isinstance(each, OSError)]
        return numbers[0] if numbers else errno.ECONNREFUSED
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return error.errno
    for kind in type(error).__mro__:
        if kind.__name__ in CLASSES:
            return CLASSES[kind.__name__]
    if isinstance(error, OSError) and "closed" in str(error):  # paramiko: "Socket is closed"
        return errno.ECONNABORTED
    return None


@contextmanager
def spoken_as_errno(name: str) -> Iterator[None]:
    """An error of a network library within the block leaves as an OSError with errno and name.

    Errors that are none of storage's pass unchanged.
    """
    try:
        yield
    except (ShippingError, EngineMissing):
        raise
    except Exception as error:
        number = errno_of(error)
        if number is None:
            raise
        detail = str(getattr(error, "strerror", "") or error) or os.strerror(number)
        raise OSError(number, detail, name) from error
