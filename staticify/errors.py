"""Everything that can go wrong, as one tree.

StaticifyError              what happened, where, and what the operator can do about it
├── ConfigError             the configuration cannot be used; carries every fault, not the first one
├── UrlError                a URL that cannot be a page (see `urls`)
├── OriginError             WordPress gave no whole answer; the last good page stays
│   ├── OriginUnreachable   no connection, or it broke
│   ├── OriginTimeout       the total deadline of one fetch ran out
│   ├── AnswerIncomplete    the body ended before its framing said so
│   ├── AnswerTooLarge      over a cap: headers, body, or what the body inflates to
│   └── AnswerMalformed     not HTTP, or an encoding that cannot be undone
├── TreeError               the tree cannot be written; what it holds is untouched
│   └── TreeLocked          another staticify works on this tree
├── StoreError              the state database cannot be used
├── SignatureRefused        a message that claims to come from this site, and is not believed
├── WebhookError            the webhook's address cannot be listened on
└── WatchError              a folder cannot be watched
"""

from __future__ import annotations

import errno
from dataclasses import dataclass


class StaticifyError(Exception):
    """Something the operator can act on. `hint` says how, in one sentence, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.hint}" if self.hint else message


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a configuration file: where it stands and what to write instead."""

    key: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        key = f"{self.key}: " if self.key else ""
        return f"{where}{key}{self.message}"


class ConfigError(StaticifyError):
    """The configuration cannot be used. `faults` holds all of them."""

    def __init__(self, source: str, faults: list[Fault], *, hint: str = "") -> None:
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{source}: {len(faults)} fault{'s' if len(faults) != 1 else ''}{lines}", hint=hint)
        self.source = source
        self.faults = faults


class UrlError(StaticifyError):
    """A URL that cannot be a page."""


class OriginError(StaticifyError):
    """WordPress gave no whole answer. `name` is the verdict that `status` and `explain` show."""

    name = "origin-error"


class OriginPaused(OriginError):
    """WordPress was not asked: it failed many times in a row, or asks to be left alone for a while."""

    name = "paused"

    def __init__(self, until: float, reason: str) -> None:
        # Not for how long: that is another number for each page, and another one when somebody reads it.
        super().__init__(f"not asked: {reason}")
        self.until = until
        """When something may be asked again, by the monotonic clock."""
        self.reason = reason


class OriginUnreachable(OriginError):
    """No connection to any origin address, or the connection broke."""

    name = "unreachable"


class OriginTimeout(OriginError):
    """The total deadline of one fetch ran out."""

    name = "timeout"


class AnswerIncomplete(OriginError):
    """The body ended before its own framing said so (RFC 9112 section 8)."""

    name = "incomplete"


class AnswerTooLarge(OriginError):
    """Headers, body or the inflated body went over a cap."""

    name = "too-large"


class AnswerMalformed(OriginError):
    """Not HTTP, or a content coding that cannot be undone."""

    name = "malformed"


_TREE_HINTS = {
    errno.ENOSPC: "The disk is full, or has no inodes left (df -i): the pages in the tree stay as they are until "
    "there is room",
    errno.EDQUOT: "The quota is used up: the pages in the tree stay as they are until there is room",
    errno.EROFS: "The file system is mounted read-only",
    errno.EACCES: "The user that runs staticify must own the tree",
    errno.EPERM: "The user that runs staticify must own the tree",
    errno.EXDEV: "The page is in a lower layer of an overlay, as what comes with an image is: give the tree a volume",
    errno.EIO: "The disk fails: see the kernel's log",
    errno.ELOOP: "A symbolic link stands where a directory of the tree should be; take it away",
    errno.ENOTDIR: "A file or a symbolic link stands where a directory of the tree should be; take it away",
}


class TreeError(StaticifyError):
    """The tree cannot be written. The pages in it are untouched."""

    @classmethod
    def of(cls, error: OSError, what: str) -> TreeError:
        """What could not be done in the tree, why, and what to do about it."""
        return cls(f"{what}: {error.strerror or error}", hint=_TREE_HINTS.get(error.errno or 0, ""))


class TreeLocked(TreeError):
    """Another staticify works on this tree."""


class StoreError(StaticifyError):
    """The state database cannot be used."""


class SignatureRefused(StaticifyError):
    """A message is not believed. `name` is a fixed word to count by."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class WebhookError(StaticifyError):
    """The webhook's address cannot be listened on."""


class WatchError(StaticifyError):
    """A folder cannot be watched."""
