"""The broker's password and the certificates that prove who the broker is."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgecam.mqtt.address import Broker
from edgecam_engines.errors import OutputError
from edgecam_engines.files import read_limited

VARIABLE: Final = "EDGECAM_MQTT_PASSWORD"
LONGEST: Final = 4096  # bytes of a password file


def read_password(broker: Broker, file: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """From the file if one is named, else from the environment, else None. Raises OutputError."""
    password = environ.get(VARIABLE) or None if file is None else _from_file(file)
    if password is not None and broker.user is None:
        raise OutputError(
            "There is a password for the MQTT broker, but no user, and MQTT has no password without one.\n"
            f"Name the user: --mqtt mqtt{'s' * broker.tls}://USER@{broker.name}/{broker.prefix}"
        )
    return password


def tls_context(broker: Broker, ca: Path | None) -> ssl.SSLContext | None:
    """Certificate and host name are checked, always; None without TLS. Raises OutputError."""
    if not broker.tls:
        if ca is not None:
            raise OutputError(
                "A certificate authority is named, but mqtt:// is not encrypted and would not ask for it.\n"
                f"Say mqtts:// instead: --mqtt mqtts://{broker.host}/{broker.prefix}"
            )
        return None
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:  # ssl.SSLError is one
        raise OutputError(
            f"The certificate authority {ca} cannot be read: {error.strerror or error}.\n"
            f"It is a text file (PEM) that begins with -----BEGIN CERTIFICATE-----: --mqtt-ca FILE"
        ) from error
    context.sslsocket_class = _Closing
    return context


class _Closing(ssl.SSLSocket):
    """paho-mqtt leaves a socket open whose handshake failed."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _from_file(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        content = read_limited(file, LONGEST)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(
            f"The password file {file} cannot be read: {why}.\nName another: --mqtt-password-file FILE"
        ) from error
    if mode & 0o007:
        raise OutputError(
            f"Everybody on this machine may open the password file {file}, so it keeps no secret.\n"
            f"Type: chmod 600 {file}"
        )
    try:
        password = content.decode().strip("\r\n")
    except UnicodeDecodeError as error:
        raise OutputError(f"The password file {file} is not text in UTF-8.\nWrite it again.") from error
    if not password:
        raise OutputError(f"The password file {file} is empty.\nWrite the password into it, one line.")
    return password
