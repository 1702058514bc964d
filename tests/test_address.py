"""An origin is an address and nothing more, and is written so that it reads back."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from staticify.address import Origin, parse_origin


@pytest.mark.parametrize(
    ("text", "origin", "base_url", "written"),
    [
        ("http://127.0.0.1:8080", Origin("http", "127.0.0.1", 8080), "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", Origin("http", "::1", 8080), "http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0::0:1]", Origin("http", "::1", 80), "http://[::1]", "http://[::1]"),
        ("https://Back.example", Origin("https", "back.example", 443), "https://back.example", "https://back.example"),
        ("https://b.example:80", Origin("https", "b.example", 80), "https://b.example:80", "https://b.example:80"),
        ("http://word_press:80", Origin("http", "word_press", 80), "http://word_press", "http://word_press"),
        ("unix:/run/web.sock", Origin("unix", socket_path="/run/web.sock"), "http://localhost", "unix:/run/web.sock"),
    ],
)
def test_origin_addresses(text: str, origin: Origin, base_url: str, written: str) -> None:
    assert parse_origin(text) == origin
    assert (origin.base_url, str(origin)) == (base_url, written)
    assert parse_origin(str(origin)) == origin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" does not begin with http://, https:// or unix:/'),
        ("127.0.0.1:8080", '"127.0.0.1:8080" does not begin with http://, https:// or unix:/'),
        ("ftp://a.example", '"ftp://a.example" does not begin with http://, https:// or unix:/'),
        ("http://a.example/", '"http://a.example/" is more than an address; write "http://a.example"'),
        ("http://a.example/blog", '"http://a.example/blog" is more than an address; write "http://a.example"'),
        ("https://a.example?x=1", '"https://a.example?x=1" is more than an address; write "https://a.example"'),
        ("https://a.example#x", '"https://a.example#x" is more than an address; write "https://a.example"'),
        ("http://u:p@a.example", '"…@a.example" carries user information; the origin is asked anonymously'),
        ("http://u:p@s/s@a.example", '"…@a.example" carries user information; the origin is asked anonymously'),
        ("u:p@a.example:80", '"…@a.example:80" carries user information; the origin is asked anonymously'),
        ("http://", '"http://" has no usable host and port'),
        ("http://:80", '"http://:80" has no usable host and port'),
        ("http://a b", '"http://a b" has no usable host and port'),
        ("http://a.example:", '"http://a.example:" has no usable host and port'),
        ("http://a.example:x", '"http://a.example:x" has no usable host and port'),
        ("http://a.example:0", '"http://a.example:0" has a port outside 1 to 65535'),
        ("http://a.example:65536", '"http://a.example:65536" has a port outside 1 to 65535'),
        ("http://::1:80", '"http://::1:80" has no usable host and port'),
        ("http://[::1:80", '"http://[::1:80" has no usable host and port'),
        ("http://[:::]", '"http://[:::]" has an IP address that does not exist'),
        ("http://127.0.0.256", '"http://127.0.0.256" has an IP address that does not exist'),
        ("http://1.2", '"http://1.2" has an IP address that does not exist'),
        (
            "unix:run/web.sock",
            '"unix:run/web.sock" is not the absolute path of a socket; write it like "unix:/run/web.sock"',
        ),
        (
            "unix:///run/web.sock",
            '"unix:///run/web.sock" is not the absolute path of a socket; write it like "unix:/run/web.sock"',
        ),
        ("unix:/run/", '"unix:/run/" is not the absolute path of a socket; write it like "unix:/run/web.sock"'),
        ("unix:/run\0", '"unix:/run\\u0000" holds a control character'),
        ("unix:/" + "x" * 107, f'"unix:/{"x" * 74}..." is over the 107 bytes that a socket\'s path may have'),
    ],
)
def test_what_is_not_an_origin_address(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is compared
        parse_origin(text)
    assert str(caught.value) == message


@given(st.text() | st.from_regex(r"(https?://|unix:/)[\[\]a-f0-9:./@?]{0,12}", fullmatch=True))
def test_any_text_is_an_origin_that_gives_back_its_address_or_a_value_error(text: str) -> None:
    try:
        origin = parse_origin(text)
    except ValueError:
        return
    assert parse_origin(str(origin)) == origin
