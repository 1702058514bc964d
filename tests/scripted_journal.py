"""A WordPress with staticify's plugin, as far as the daemon can tell: a journal, labels, and changes on command."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from scripted_origin import Exchange, ScriptedOrigin, answer, html

from staticify.signature import check, parse_secret

SECRET = "whsec_" + "c2VjcmV0" * 6
QUESTION = "/?staticify=changes"
CRON = "/wp-cron.php"


@dataclass
class ScriptedJournal:
    """The journal of a scripted origin. `write` adds a row; pages are labelled by `label`."""

    origin: ScriptedOrigin
    name: str = "incarnation-1"
    rows: list[dict[str, Any]] = field(default_factory=list)
    oldest: int = 1
    position: int = 0
    cron_due_at: int | None = None
    per_answer: int = 500
    is_held: bool = False
    """True as if a row were not certain yet."""
    direct: str | None = None
    """Where else it may be asked, as it says; absent in answers of an older plugin."""
    status: int = 200
    questions: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.origin.pages[QUESTION] = self._answer

    def write(self, *tags: str, urls: tuple[str, ...] = (), gone: tuple[str, ...] = (), position: int = 0) -> None:
        """One more row."""
        self.position = max(self.position, position or self.position + 1)
        row = {"position": position or self.position, "time": int(time.time()), "tags": list(tags)}
        self.rows.append({**row, "urls": list(urls), "gone": list(gone)})

    def open_direct(self, path: str) -> None:
        """Answer at a path of its own as well, and say so."""
        self.direct = path
        self.origin.pages[path] = self._answer

    def page(self, path: str, text: str, *tags: str) -> None:
        """What the site answers for a path, and the label that a signed fetch gets."""

        async def render(exchange: Exchange) -> None:
            if is_signed(exchange) and tags:
                await exchange.send(answer(html(text), Staticify_Tags=" ".join(("site", *tags))))
            else:
                await exchange.send(answer(html(text)))

        self.origin.pages[path] = render

    async def _answer(self, exchange: Exchange) -> None:
        if self.status != 200 or not is_signed(exchange):
            await exchange.send(answer(b'{"error": "no"}', 401 if self.status == 200 else self.status))
            return
        question = json.loads(exchange.body)
        self.questions.append(question)
        since = question["since"]
        times = {row["position"]: row["time"] for row in self.rows}
        is_restored = question["time"] not in {0, times.get(since, 0)}
        is_start_over = (
            is_restored or question["journal"] != self.name or since < self.oldest - 1 or since > self.position
        )
        rows = sorted((row for row in self.rows if row["position"] > since), key=lambda row: int(row["position"]))
        given = [] if is_start_over else rows[: self.per_answer]
        position = given[-1]["position"] if given else self.position
        body = {
            "version": 1,
            "journal": self.name,
            "position": position,
            "time": times.get(position, 0),
            "start_over": is_start_over,
            "more": len(rows) > self.per_answer,
            "held": self.is_held,
            "entries": given,
            "cron_due_at": self.cron_due_at,
        } | ({} if self.direct is None else {"direct": self.direct})
        await exchange.send(answer(json.dumps(body), content_type="application/json"))


def is_signed(exchange: Exchange) -> bool:
    """True if the request carries a good signature. Raises SignatureRefused if it carries a bad one."""
    if "webhook-id" not in exchange.headers:
        return False
    check([parse_secret(SECRET)], exchange.headers, exchange.body, time.time())
    return True
