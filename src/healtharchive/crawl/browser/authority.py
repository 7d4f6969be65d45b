"""A throw-away certificate authority, for one browser process that trusts it by its key.

Nothing of it reaches a disk: keys live in memory, and OpenSSL reads them from a memory file.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import ssl
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MOST_HOSTS = 256
VALID_BEFORE = timedelta(days=1)
VALID_AFTER = timedelta(days=30)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HealthArchive recording")])


class Authority:
    """Makes certificates for whatever hosts the browser asks for.

    `spki_hash` is the authority's public key as Chromium's `--ignore-certificate-errors-spki-list`
    takes it; `certificate_pem` is for other clients.
    """

    def __init__(self, now: datetime) -> None:
        self._begins, self._ends = now - VALID_BEFORE, now + VALID_AFTER
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        certificate = self._sign_itself()
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        public_key = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.spki_hash = base64.b64encode(hashlib.sha256(public_key).digest()).decode()

    @classmethod
    def create(cls) -> Authority:
        """A new authority, valid from a day ago for a month from now."""
        return cls(datetime.now(UTC))

    def context_for(self, host: str) -> ssl.SSLContext:
        """What a server needs to be this host: a name in ASCII or an IP address.

        ValueError when it is neither.
        """
        context = self._contexts.get(host)
        if context is None:
            context = self._contexts[host] = self._new_context(host)
            if len(self._contexts) > MOST_HOSTS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(host)
        return context

    def _new_context(self, host: str) -> ssl.SSLContext:
        private_key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        leaf = self._issue(host).public_bytes(serialization.Encoding.PEM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as stream:
                stream.write(private_key + leaf + self.certificate_pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context

    # -- certificates (RFC 5280) -----------------------------------------------------------------

    def _sign_itself(self) -> x509.Certificate:
        return (
            self._builder(NAME, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _issue(self, host: str) -> x509.Certificate:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        # The subject is empty: the name is in the critical alternative name (RFC 5280 §4.2.1.6).
        return (
            self._builder(x509.Name([]), self._leaf_key)
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(NAME)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begins)
            .not_valid_after(self._ends)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        if not host:
            raise
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
