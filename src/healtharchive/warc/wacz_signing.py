"""Signing a WACZ: the anonymous signature of WACZ Signing and Verification 0.1.0.

It says that whoever has this key put the package together. That the key is ours must be told by
other means: its public half is on the archive's own pages.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from healtharchive.warc.wacz_package import moment

KEY_NAME = "wacz-signing-key.pem"
SPEC_VERSION = "0.1.0"
CURVE = ec.SECP384R1()  # the one that wabac.js imports
NUMBER_BYTES = 48


@dataclass(frozen=True)
class Signer:
    """The archive's key pair."""

    key: ec.EllipticCurvePrivateKey

    @property
    def public_key(self) -> str:
        """The public half, as a signature names it (SubjectPublicKeyInfo in base64)."""
        shape = serialization.PublicFormat.SubjectPublicKeyInfo
        raw = self.key.public_key().public_bytes(serialization.Encoding.DER, shape)
        return base64.b64encode(raw).decode()

    def signed(self, package_hash: str, created: datetime, software: str) -> Mapping[str, str]:
        """The `signedData` of a package whose digest, with its `sha256:`, is `package_hash`."""
        made = self.key.sign(package_hash.encode(), ec.ECDSA(hashes.SHA256()))
        # WebCrypto wants the two numbers side by side, not in ASN.1.
        raw = b"".join(each.to_bytes(NUMBER_BYTES, "big") for each in decode_dss_signature(made))
        return {
            "hash": package_hash,
            "created": moment(created),
            "software": software,
            "version": SPEC_VERSION,
            "signature": base64.b64encode(raw).decode(),
            "publicKey": self.public_key,
        }


def signer(state_dir: Path) -> Signer:
    """The key of this archive, made when there is none yet; only its owner may read the file.

    OSError when it can be neither read nor made; ValueError when the file holds no such key.
    """
    path = state_dir / KEY_NAME
    with contextlib.suppress(FileNotFoundError):
        return Signer(_key_in(path))
    state_dir.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{KEY_NAME}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_pem(ec.generate_private_key(CURVE)))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            os.link(fresh, path)
    finally:
        fresh.unlink()
    return Signer(_key_in(path))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _key_in(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE.name:
        raise ValueError(f"{path} holds no key of the curve {CURVE.name}")
    return key
