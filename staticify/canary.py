"""Do two anonymous fetches of a page greet different people? Then it is nobody's page for everybody.

A plugin may personalise by the visitor's address, by chance, or because a cache of its own has mixed visitors up. That
pages differ is no sign: random quotes, counters and nonces do. Only what names somebody is.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

PERSONAL = "personal"
"""The verdict on such a page."""
ONE_VISITOR, ANOTHER_VISITOR = "192.0.2.1", "198.51.100.23"
"""Whom the two fetches are for, as a proxy says it: addresses of nobody (RFC 5737)."""

_GREETINGS = frozenset({
    "hello", "hi", "hey", "howdy", "welcome", "greetings", "dear", "hallo", "willkommen", "moin", "servus",
    "bonjour", "salut", "bienvenue", "hola", "bienvenido", "bienvenida", "ciao", "salve", "benvenuto",
    "benvenuta", "olá", "oi", "bem-vindo", "bem-vinda", "hej", "hei", "velkommen", "välkommen", "tervetuloa",
    "dag", "welkom", "cześć", "witaj", "witamy", "ahoj", "vítejte", "szia", "üdvözöljük", "salutare", "привет",
    "здравствуйте", "merhaba", "hoşgeldiniz",
})  # fmt: skip
_GREETING_ENDS = (
    "logged in as", "signed in as", "angemeldet als", "eingeloggt als", "connecté en tant que", "conectado como",
    "accesso effettuato come", "ingelogd als", "your ip", "your account", "ship to", "deliver to",
)  # fmt: skip
_WORDS_AFTER = 3
"""So many words after a greeting may be the name."""
_LOGIN = re.compile(
    r"\b(?:log ?in|sign ?in|log ?on|register|anmelden|einloggen|connexion|se connecter|iniciar sesi\u00f3n|acceder"
    r"|accedi|inloggen|entrar|zaloguj|logga in|log ind)\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\s<>\"'=]+")
_WORD = re.compile(r"[^\W_]+(?:[-'.@][^\W_]+)*")
# Begun only where a name can begin: else each character of a long word would be tried as its beginning. What ends as a
# file does is one ("photo@2x.jpg"), and so is the version of a package ("swiper@8.4.5").
_MAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?!\d)[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}"
    r"\.(?!(?:png|jpe?g|webp|avif|gif|svg|ico|js|mjs|css|json|map|woff2?|mp4|webm|pdf)\b)[a-zA-Z]{2,24}(?![\w-])"
)
# No other address of the network: a balancer may write which machine made the page.
_ADDRESS = re.compile(rf"(?<![\d.])(?:{re.escape(ONE_VISITOR)}|{re.escape(ANOTHER_VISITOR)})(?![\d.])")
_TAGS = re.compile(r"<[^>]*>?")
_MOST_SHOWN = 200
_MOST_COMPARED = 100_000
"""Characters: pages that differ in more than that differ in more than a name."""
_MOST_GREETINGS = 1000
_PIECES_AROUND = 4
"""Tags before a name, in which its greeting may stand."""


def personal_difference(one: bytes, other: bytes) -> str:
    """What is personal in only one of the two pages, as it stands there; empty if nothing is."""
    if one == other:
        return ""
    first, second = _different_parts(one, other)
    return (_named(first, second) or _named(second, first))[:_MOST_SHOWN]


def named_only_in(one: bytes, other: bytes) -> str:
    """What is personal in the first page and not in the other; empty if nothing is."""
    return _named(*_different_parts(one, other))[:_MOST_SHOWN]


def _different_parts(one: bytes, other: bytes) -> tuple[str, str]:
    """Of each page what stands not in the other, with a little around it. Most of two pages is the same."""
    pieces = [body.decode("utf-8", "replace").replace(">", ">\n").split("\n") for body in (one, other)]
    common = set(pieces[0]) & set(pieces[1])
    first, second = (html.unescape(_around(of_one, common)) for of_one in pieces)
    return first, second


def _around(pieces: list[str], common: set[str]) -> str:
    wanted: dict[int, None] = {}
    room = _MOST_COMPARED
    for index, piece in enumerate(pieces):
        if piece not in common and room > 0:
            room -= len(piece)
            wanted.update(dict.fromkeys(range(max(0, index - _PIECES_AROUND), min(len(pieces), index + 2))))
    return " ".join(pieces[index][-_MOST_COMPARED:] for index in sorted(wanted))


def differences(one: bytes, other: bytes) -> list[str]:
    """What stands in only one of the two pages, each piece once, in the page's order."""
    first, second = (body.decode("utf-8", "replace") for body in (one, other))
    return [token[:_MOST_SHOWN] for token in dict.fromkeys((*_only_in(first, second), *_only_in(second, first)))]


def _only_in(text: str, other: str) -> Iterator[str]:
    rest = Counter(_TOKEN.findall(text))
    rest.subtract(Counter(_TOKEN.findall(other)))
    return (token for token in _TOKEN.findall(text) if rest[token] > 0)


def _named(text: str, against: str) -> str:
    """Somebody whom a text names and the other does not: a mail address, an address of the network, who is greeted.

    A greeting counts where the other page greets with the same word somebody else, or nobody at all and offers a login:
    "Hello from Paris" in a list of posts that differs by chance is none.
    """
    for pattern in (_MAIL, _ADDRESS):
        known = set(pattern.findall(against))
        if found := next((one for one in pattern.findall(text) if one not in known), ""):
            return found
    greeted, others = _greeted(text), _greeted(against)
    words = {one.split()[0].casefold() for one in others.keys() - greeted.keys()}
    has_login = _LOGIN.search(against) is not None
    return next((one for one in greeted if one not in others and (one.split()[0].casefold() in words or has_login)), "")


def _greeted(text: str) -> dict[str, None]:
    """Each greeting in a text, and the words after it, in its order; so many at most."""
    words = _WORD.findall(_TAGS.sub(" ", text))
    folded = [word.casefold() for word in words]
    found: dict[str, None] = {}
    for index, word in enumerate(folded):
        if len(found) >= _MOST_GREETINGS:
            break
        before = " ".join(folded[max(0, index - 3) : index + 1])
        if word in _GREETINGS or before.endswith(_GREETING_ENDS):
            following = [name for name in words[index + 1 : index + 1 + _WORDS_AFTER] if not name.isdigit()]
            if following:
                found[" ".join((words[index], *following))] = None
    return found
