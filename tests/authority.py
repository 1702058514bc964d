"""Certificates of a local authority."""

from __future__ import annotations

import socket
import ssl
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own."""

    directory: Path
    host: str = "example.org"
    """Whom its certificates are for."""

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    def found(self) -> None:
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Local CA",
            "-days", "2", "-keyout", self.directory / "ca.key", "-out", self.certificate,
        )  # fmt: skip

    def issue(self, lineage: Path) -> None:
        """A new certificate, the way certbot lays it down."""
        lineage.mkdir(parents=True, exist_ok=True)
        certificate_request = self.directory / "request.pem"
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={self.host}", "-keyout", lineage / "privkey.pem", "-out", certificate_request,
        )  # fmt: skip
        extensions = self.directory / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{self.host}\n")
        self._openssl(
            "x509", "-req", "-in", certificate_request, "-CA", self.certificate, "-CAkey", self.directory / "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", extensions, "-out", lineage / "fullchain.pem",
        )  # fmt: skip

    def serial_of(self, file: Path) -> str:
        return self._openssl("x509", "-in", file, "-noout", "-serial").strip().removeprefix("serial=")

    def connect(self, port: int) -> ssl.SSLSocket:
        """A connection over TLS to the host, whose certificate is checked."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname=self.host)

    def presented(self, port: int) -> str:
        """The serial number of the certificate that a new visitor sees."""
        with closing(self.connect(port)) as client:
            certificate = client.getpeercert()
            assert certificate is not None
            return str(certificate["serialNumber"])

    def context(self) -> ssl.SSLContext:
        """What a server of the host needs."""
        self.issue(self.directory / "lineage")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "lineage/fullchain.pem", self.directory / "lineage/privkey.pem")
        return context

    @staticmethod
    def _openssl(*arguments: str | Path) -> str:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
