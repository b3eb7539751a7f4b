"""Certificates for a test, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.identity import hand_over, server_identity


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for 127.0.0.1, or for another address."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._own = Signed(directory / f"{name}.pem", directory / f"{name}.key")
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._own.key, "-out", self._own.certificate, *_subject(name))

    @property
    def certificate(self) -> Path:
        """What those need who trust it."""
        return self._own.certificate

    def sign(self, name: str, address: str = "127.0.0.1") -> Signed:
        """A certificate and its key, readable by a server."""
        made = Signed(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        request, names = made.certificate.with_suffix(".csr"), made.certificate.with_suffix(".names")
        names.write_text(f"subjectAltName=IP:{address}\n", encoding="ascii")
        _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, *_subject(name))
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-extfile", names, "-out", made.certificate),
            *("-CA", self._own.certificate, "-CAkey", self._own.key, "-CAcreateserial"),
        )
        for path in (made.certificate, made.key, self._own.certificate):
            hand_over(path, server_identity())
        return made


_NEW_KEY = ("-newkey", "rsa:2048", "-nodes", "-days", "2")


def _subject(name: str) -> tuple[str, str]:
    return ("-subj", f"/CN={name}")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
