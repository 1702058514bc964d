"""How much a reader sees of a page."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from staticify.looks import is_about, is_shrunk, seen_bytes, text_of


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


def test_half_of_the_text_may_go() -> None:
    assert not is_shrunk(50, 100)
    assert is_shrunk(49, 100)
    assert not is_shrunk(0, 0)


def test_answers_of_about_the_same_size_agree() -> None:
    assert is_about(1000, 1000)
    assert is_about(1000, 1150)
    assert is_about(10, 60)
    assert not is_about(1000, 1500)
    assert not is_about(1500, 1000)


@pytest.mark.alone
@pytest.mark.parametrize("piece", [b"<script", b"<!--", b"<a ", b"<", b"<script>x", b"<style></script>"])
def test_the_time_is_linear_in_the_size(piece: bytes) -> None:
    seconds = []
    for count in (50_000, 200_000):
        body = piece * count
        started = time.process_time()
        seen_bytes(body)
        seconds.append(time.process_time() - started)
    assert seconds[1] < 8 * seconds[0] + 0.1


@pytest.mark.alone
@pytest.mark.parametrize("piece", [b"x ", b"  ", b"<a>", b"x<a>", b"<b>x</b> "])
def test_many_small_pieces_take_no_more_room_than_a_few_large_ones(piece: bytes) -> None:
    body = piece * (2**20 // len(piece))
    tracemalloc.start()
    try:
        seen_bytes(body)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(body)
    finally:
        tracemalloc.stop()
