"""What the daemon hears of files, when one hearing takes the place of another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from stage import config_of, site_toml, until

from staticify.config import Config
from staticify.errors import WatchError
from staticify.hearing import Hearing
from staticify.orders import Order
from staticify.watch import Watch

SITE = "https://example.org/"


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.orders: list[tuple[str | None, Order]] = []
        self.reloads = 0

    def ask_journal(self, site: str) -> None:
        raise AssertionError(site)

    def order(self, site: str | None, order: Order) -> int:
        self.orders.append((site, order))
        return 3

    def reload(self, *, is_asked: bool) -> None:
        assert not is_asked
        self.reloads += 1

    def take_id(self, message_id: str, now: float) -> bool:
        raise AssertionError(message_id, now)

    def health(self) -> Mapping[str, object]:
        raise AssertionError


def config_with_theme(directory: Path) -> tuple[Config, Path]:
    theme = directory / "wp-content/themes/one"
    theme.mkdir(parents=True)
    text = site_toml("http://127.0.0.1:1", pages=["/"], wp_content=str(directory / "wp-content"))
    return config_of(directory, text), theme


def test_what_was_heard_when_another_takes_over_is_told(tmp_path: Path) -> None:
    """A reload must not swallow a theme that changed with the configuration: nobody would look for an hour."""

    async def main() -> None:
        config, theme = config_with_theme(tmp_path)
        listener = Listener()
        first, second = Hearing(config, listener), Hearing(config, listener)
        order = (SITE, Order(is_everything=True, is_hint=True))
        await first.start()
        (theme / "footer.php").write_text("<?php")
        await second.start(first)
        try:
            # What goes on changing is waited for, half a minute at most.
            await until(lambda: order in listener.orders, seconds=40)
            # And the second hears.
            listener.orders.clear()
            (theme / "footer.php").write_text("<?php echo 1;")
            await until(lambda: order in listener.orders, seconds=40)
        finally:
            await second.stop()

    asyncio.run(main())


def test_where_two_watches_are_too_many_everything_counts_as_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        config, _ = config_with_theme(tmp_path)
        listener = Listener()
        first, second = Hearing(config, listener), Hearing(config, listener)
        await first.start()
        start = Watch.start
        ends: list[Watch] = []

        async def limited(watch: Watch) -> None:
            if not ends:
                ends.append(watch)
                raise WatchError("no more watches")
            await start(watch)

        monkeypatch.setattr(Watch, "start", limited)
        await second.start(first)
        assert (SITE, Order(is_everything=True, is_hint=True)) in listener.orders
        await second.stop()

    asyncio.run(main())
