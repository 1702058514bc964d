"""How much a reader sees of a page."""

from __future__ import annotations

import time

import pytest

from staticify.looks import looks_of, text_of


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<p>one <b>two</b>\n\n three</p>", "one two three"),
        (b"<script>var a = '<p>no</p>';</script>seen<style>p{}</style>", "seen"),
        (b"<!-- no <p>no</p> -->seen<noscript>no</noscript><template>no</template>", "seen"),
        (b"<SCRIPT type=x>no</script >seen", "seen"),
        (b"seen<script>never ends", "seen"),
        (b"seen<!-- never ends", "seen"),
        (b"seen<a href='never ends", "seen"),
        (b"1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
        ("caf\u00e9 &eacute;".encode(), "caf\u00e9 \u00e9"),
        (b"User-agent: *\nDisallow:\n", "User-agent: * Disallow:"),
        (b"", ""),
    ],
)
def test_what_is_seen(body: bytes, text: str) -> None:
    assert text_of(body) == text


def test_numbers_make_no_difference_and_words_do() -> None:
    first, later, other = (
        looks_of(f"<p>{text}</p>".encode()) for text in ("at 12:05, 7 left", "at 9:59, 12 left", "x")
    )
    assert first.digest == later.digest
    assert first.digest != other.digest


def test_half_of_the_text_may_go() -> None:
    whole = looks_of(b"x" * 100)
    assert not looks_of(b"x" * 50).is_shrunk_from(whole)
    assert looks_of(b"x" * 49).is_shrunk_from(whole)
    assert not whole.is_shrunk_from(looks_of(b""))


@pytest.mark.alone
@pytest.mark.parametrize("piece", [b"<script", b"<!--", b"<a ", b"<", b"<script>x", b"<style></script>"])
def test_the_time_is_linear_in_the_size(piece: bytes) -> None:
    seconds = []
    for count in (50_000, 200_000):
        body = piece * count
        started = time.process_time()
        looks_of(body)
        seconds.append(time.process_time() - started)
    assert seconds[1] < 8 * seconds[0] + 0.1
