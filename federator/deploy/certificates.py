"""Certificates for TLS: issued by the federation's own authority, or a public one's and checked."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federator.errors import InputError, Problem
from federator.runtime.files import read_text_file


class Pair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def issue(names: tuple[str, ...], days: float, authority: Pair | None = None) -> Pair:
    """Return a new certificate for these hosts; without hosts, an authority's certificate.

    Without ``authority`` the certificate is signed by its own key.

    Raises:
        InputError: if the authority's files are not what this function made.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    common = names[0] if names else "Notebook Federator"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    issuer, signer = _signer(authority) if authority else (subject, key)
    # It is valid from an hour ago, for sites whose clock is behind.
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
    key = load_key(authority.key, Path("the authority's key"))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError("the certificate authority's key is not an EC key")
    certificate = x509.load_pem_x509_certificate(authority.certificate)
    if certificate.public_key() != key.public_key():
        raise InputError("the certificate authority's key is not that of its certificate")
    return certificate.subject, key


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def covers(certificate: bytes, host: str, name: Path = Path("the certificate")) -> bool:
    """Return whether a certificate (PEM) is for a host, by name, address or wildcard.

    Raises:
        InputError: if it is none.
    """
    extensions = load_certificate(certificate, name).extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wildcard = x509.DNSName(f"*.{host.partition('.')[2]}")
    return _general_name(host) in names or wildcard in names


def expiry(path: Path) -> datetime:
    """Return when the certificate in a file (PEM) expires.

    Raises:
        InputError: if it is none.
    """
    return load_certificate(path.read_bytes(), path).not_valid_after_utc


def read_pair(certificate: Path, key: Path, host: str) -> Pair:
    """Return a certificate (with its intermediates) and its key from two files, checked.

    Raises:
        InputError: if they are not a pair for this host that is valid now.
    """
    try:
        pair = Pair(read_text_file(certificate), read_text_file(key))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    served = load_certificate(pair.certificate, certificate)
    public = load_key(pair.key, key).public_key()
    now = datetime.now(UTC)
    if served.public_key() != public:
        raise InputError(f"{key}: is not the key of {certificate}")
    if not covers(pair.certificate, host, certificate):
        raise InputError(f"{certificate}: is not for {host}, the server in federation.yaml")
    if served.not_valid_after_utc < now:
        raise InputError(f"{certificate}: has expired, on {served.not_valid_after_utc:%Y-%m-%d}")
    if served.not_valid_before_utc > now:
        begins = f"{served.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        hint = "is this machine's clock right?"
        raise InputError(Problem(f"{certificate}: is not valid before {begins}", hint=hint))
    return pair


def load_certificate(content: bytes, name: Path) -> x509.Certificate:
    """Return the first certificate in a text (PEM).

    Raises:
        InputError: if it holds none, or one of those after it is damaged.
    """
    if _CERTIFICATE not in content:
        what, hint = "is no certificate in PEM", f"it has a line {_CERTIFICATE.decode()}"
        if _KEY in content:
            what, hint = "is a private key, not a certificate", "are the two files exchanged?"
        elif content.startswith(_DER):
            hint = f"if it is in DER: openssl x509 -inform der -in {name} -out {name}.pem"
        raise InputError(Problem(f"{name}: {what}", hint=hint))
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "a line of it may be missing or changed: copy the file again"
        raise InputError(Problem(f"{name}: holds a damaged certificate", hint=hint)) from None


def load_key(content: bytes, name: Path) -> PrivateKeyTypes:
    """Return the private key in a text (PEM), which must not be encrypted.

    Raises:
        InputError: if it holds none.
    """
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:  # a password is needed
        hint = f"take the password off: openssl pkey -in {name} -out {name}.plain"
        raise InputError(Problem(f"{name}: the key is encrypted", hint=hint)) from None
    except (ValueError, UnsupportedAlgorithm):
        what, hint = (
            "is no private key in PEM",
            "such a file has a line -----BEGIN PRIVATE KEY-----",
        )
        if _KEY in content:
            what, hint = "holds a damaged private key", "copy the file again"
        elif _CERTIFICATE in content:
            what, hint = "is a certificate, not a private key", "are the two files exchanged?"
        elif content.startswith(_DER):
            hint = f"if it is in DER: openssl pkey -inform der -in {name} -out {name}.pem"
        raise InputError(Problem(f"{name}: {what}", hint=hint)) from None


_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"
_DER = b"\x30"  # a sequence, as both are
