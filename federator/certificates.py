"""Certificates for TLS: made here, or given by a public authority and checked."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federator.errors import InputError


class Pair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def issue(names: tuple[str, ...], days: float, authority: Pair | None = None) -> Pair:
    """Return a new certificate for these hosts; for none, that of an authority.

    Without ``authority`` the certificate is signed by its own key.

    Raises:
        InputError: if the authority's files are not what this function made.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    common = names[0] if names else "Notebook Federator"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    issuer, signer = _signer(authority) if authority else (subject, key)
    # An hour back, for sites whose clock is behind.
    start = datetime.now(UTC) - timedelta(hours=1)
    usage = dict.fromkeys(_USAGES, False) | dict.fromkeys(
        ("digital_signature",) if names else ("key_cert_sign", "crl_sign"), True
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(not names, None if names else 0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        hosts = x509.SubjectAlternativeName([_general_name(name) for name in names])
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(hosts, critical=False).add_extension(server, critical=False)
    certificate = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate, pem)


def _signer(authority: Pair) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    key = load_pem_private_key(authority.key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError("the certificate authority's key is not an EC key")
    return x509.load_pem_x509_certificate(authority.certificate).subject, key


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def covers(certificate: bytes, host: str) -> bool:
    """Tell whether a certificate (PEM) is for a host, by name, address or wildcard."""
    extensions = x509.load_pem_x509_certificate(certificate).extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wildcard = x509.DNSName(f"*.{host.partition('.')[2]}")
    return _general_name(host) in names or wildcard in names


def expiry(certificate: bytes) -> datetime:
    """Return when a certificate (PEM) expires."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def read_pair(certificate: Path, key: Path, host: str) -> Pair:
    """Return a certificate (with its intermediates) and its key from two files, checked.

    Raises:
        InputError: if they are not a pair for this host that is valid now.
    """
    try:
        pair = Pair(certificate.read_bytes(), key.read_bytes())
        public = load_pem_private_key(pair.key, password=None).public_key()
        served = x509.load_pem_x509_certificate(pair.certificate)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{certificate}, {key}: not a certificate and its key: {error}") from None
    if served.public_key() != public:
        raise InputError(f"{key}: is not the key of {certificate}")
    if not covers(pair.certificate, host):
        raise InputError(f"{certificate}: is not for {host}, the server in federation.yaml")
    if served.not_valid_after_utc < datetime.now(UTC):
        raise InputError(f"{certificate}: has expired, on {served.not_valid_after_utc:%Y-%m-%d}")
    return pair
