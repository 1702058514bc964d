"""Signed messages between WordPress and staticify, after Standard Webhooks: values in, values out, the clock passed in.

HMAC-SHA256 over "{id}.{timestamp}.{body}", in the three header fields below. A secret is written `whsec_` and base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from staticify.errors import SignatureRefused

ID_FIELD = "webhook-id"
TIMESTAMP_FIELD = "webhook-timestamp"
SIGNATURE_FIELD = "webhook-signature"

PREFIX = "whsec_"
_MAKE = f"printf '{PREFIX}%s\\n' \"$(openssl rand -base64 32)\""
"""For a shell."""
FILE = "file:"
CREDENTIAL = "credential:"
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64
TOLERANCE_SECONDS = 300.0
"""How far a time stamp may be from the reader's clock, in either direction."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_MAX_SIGNATURES = 16
_VERSION = "v1,"


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared secret's bytes, which nothing prints."""

    content: bytes
    source: str = field(default="", compare=False)
    """Where it stands, if it is not in the configuration itself: file:/PATH or credential:NAME."""

    @property
    def path(self) -> str:
        """The file of its own; empty if it has none."""
        return self.source.removeprefix(FILE) if self.source.startswith(FILE) else ""

    @property
    def credential(self) -> str:
        """The name of the credential of systemd's; empty if it is none."""
        return self.source.removeprefix(CREDENTIAL) if self.source.startswith(CREDENTIAL) else ""

    def __repr__(self) -> str:
        return "Secret(...)"


def parse_secret(text: str) -> Secret:
    """A secret as it is written. Raises ValueError with a reason that does not repeat it."""
    try:
        content = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except ValueError:  # binascii.Error, or text that is not ASCII.
        content = b""
    if not content:
        raise ValueError(f"must be {PREFIX} and base64; this makes one: {_MAKE}")
    if not MIN_SECRET_BYTES <= len(content) <= MAX_SECRET_BYTES:
        raise ValueError(f"must hold {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, this one holds {len(content)}")
    return Secret(content)


def sign(secrets: Sequence[Secret], message_id: str, now: float, body: bytes) -> dict[str, str]:
    """The header fields of a message, signed by each secret: while one is replaced, the reader may know one of them."""
    timestamp = str(int(now))
    signatures = " ".join(_VERSION + _signature(secret, message_id, timestamp, body) for secret in secrets)
    return {ID_FIELD: message_id, TIMESTAMP_FIELD: timestamp, SIGNATURE_FIELD: signatures}


def check(secrets: Sequence[Secret], fields: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a message that one of the secrets signed. Raises SignatureRefused with the reason.

    `fields` has lower-case names. Whether the id was seen before is for the caller to know.
    """
    message_id, timestamp, signatures = (fields.get(name, "") for name in (ID_FIELD, TIMESTAMP_FIELD, SIGNATURE_FIELD))
    if not (message_id and timestamp and signatures):
        raise SignatureRefused("unsigned", f"{ID_FIELD}, {TIMESTAMP_FIELD} and {SIGNATURE_FIELD} are needed")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefused("malformed", f"{ID_FIELD} or {TIMESTAMP_FIELD} is not what it should be")
    age_seconds = now - int(timestamp)
    if age_seconds > TOLERANCE_SECONDS:
        raise SignatureRefused("too-old", f"the time stamp is {age_seconds:.0f} s old: replayed, or a clock is wrong")
    if age_seconds < -TOLERANCE_SECONDS:
        raise SignatureRefused("too-new", f"the time stamp lies {-age_seconds:.0f} s ahead: a clock is wrong")
    given = [
        part.removeprefix(_VERSION).encode("utf-8", "replace")
        for part in signatures.split(" ")[:_MAX_SIGNATURES]
        if part.startswith(_VERSION)
    ]
    is_good = False
    for secret in secrets:
        expected = _signature(secret, message_id, timestamp, body).encode()
        for signature in given:
            # Every comparison is made, each in constant time: how long it takes tells nothing.
            is_good |= hmac.compare_digest(signature, expected)
    if not is_good:
        raise SignatureRefused("forged", "no secret of this site made this signature")
    return message_id


def _signature(secret: Secret, message_id: str, timestamp: str, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(secret.content, content, hashlib.sha256)).decode()
