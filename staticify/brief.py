"""How much is kept, logged and shown of what others say: a title may have megabytes."""

from __future__ import annotations

MAX_CHARACTERS = 500
"""Of a reason, a Location, a header field."""
_END_CHARACTERS = 120
_GAP = " [...] "


def brief(text: str, most: int = MAX_CHARACTERS) -> str:
    """The text, or its two ends if it is longer: what staticify itself says stands there, about what others say."""
    if len(text) <= most:
        return text
    return f"{text[: most - _END_CHARACTERS - len(_GAP)]}{_GAP}{text[-_END_CHARACTERS:]}"
