"""Whom two fetches of a page name."""

from __future__ import annotations

import time

import pytest

from staticify.canary import differences, named_only_in, personal_difference

PAGE = "<html><head><title>Hello world</title></head><body><p>Welcome to the blog</p>{}</body></html>"


def page(text: str) -> bytes:
    return PAGE.format(text).encode()


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("<p>Hi Anna Smith!</p>", "<p>Hi Bert Jones!</p>", "Hi Anna Smith"),
        ("<p>Hello, <b>Anna</b></p>", "<a>Log in</a>", "Hello Anna"),
        ("<a>Log in</a>", "<p>Howdy, anna</p>", "Howdy anna"),
        ("Bonjour Zo\u00eb Blanc", "Bonjour Luc Noir", "Bonjour Zo\u00eb Blanc"),
        ("Angemeldet als Anna Schmidt", "Anmelden", "als Anna Schmidt"),
        ("<input value='anna@example.org'>", "<input value=''>", "anna@example.org"),
        ("<input value=anna&#64;example.org>", "", "anna@example.org"),
        ("Your IP: 192.0.2.1", "Your IP: 198.51.100.23", "192.0.2.1"),
        ("Deliver to Anna Smith", "Deliver to Oslo", "to Anna Smith"),
        ("<b>Hello</b>, <i><b>Anna</b></i>", "<b>Hello</b>, <i><b>Bert</b></i>", "Hello Anna"),
    ],
)
def test_who_is_named_in_one_alone(one: str, other: str, named: str) -> None:
    assert personal_difference(page(one), page(other)) == named


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", ""),
        ("<p>12:05:01</p>", "<p>12:05:02</p>"),
        ("<input name=_wpnonce value=4fd2a01b77>", "<input name=_wpnonce value=99ab01cd23>"),
        ("<q>To be or not to be</q>", "<q>All the world's a stage</q>"),
        ("<p>Hello 17 visitors</p>", "<p>Hello 18 visitors</p>"),
        ("Hi Anna. 1", "Hi Anna. 2"),
        ("anna@example.org 1", "anna@example.org 2"),
        # Posts and pictures by chance.
        ("<h3>Welcome to Berlin</h3>", "<h3>Ten good books</h3>"),
        ("<h3>Hello from Paris</h3>", "<h3>Dear diary</h3>"),
        ("<img src=photo-a@2x.jpg>", "<img src=photo-b@2x.jpg>"),
        ("<script src=https://cdn.example/swiper@8.4.5/x.js>", "<script src=https://cdn.example/swiper@8.4.6/x.js>"),
        ("<img srcset='a@3x.webp 3x'>", "<img srcset='b@3x.webp 3x'>"),
        ("<script src=a.js?ver=1.2.3></script>", "<script src=a.js?ver=1.2.4></script>"),
    ],
)
def test_what_names_nobody(one: str, other: str) -> None:
    assert personal_difference(page(one), page(other)) == ""


def test_what_stands_in_the_tree_is_asked_by_itself() -> None:
    anna, stranger = page("Hi Anna Smith"), page("Log in")
    assert named_only_in(anna, stranger) == "Hi Anna Smith"
    assert named_only_in(stranger, anna) == ""


def test_the_pieces_that_differ_in_the_order_of_the_page() -> None:
    assert differences(page("a b b c"), page("b d c")) == ["a", "b", "d"]
    assert differences(page("x"), page("x")) == []


@pytest.mark.alone
@pytest.mark.parametrize(
    "piece", ["Hello world. ", "a-", "1.1.", "iVBORw0KGgo", "a@", "a@b.", "<p>", ">", "words and more words "]
)
def test_a_large_page_that_is_another_one_takes_no_time_to_speak_of(piece: str) -> None:
    body = (piece * (4_000_000 // len(piece))).encode()
    started = time.process_time()
    personal_difference(b"<p>1</p>" + body, b"<p>2</p>" + body[::-1])
    assert time.process_time() - started < 4


def test_which_machine_of_a_balancer_made_the_page_names_nobody() -> None:
    one, other = (page(f"<!-- rendered by 10.0.3.{number} -->") for number in (1, 2))
    assert personal_difference(one, other) == ""


def test_many_greetings_take_no_time() -> None:
    one, other = (page("hi " + " ".join(f"hi {name}{number}" for number in range(50_000))) for name in "ab")
    started = time.process_time()
    personal_difference(one, other)
    assert time.process_time() - started < 5
