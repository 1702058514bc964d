"""The long-running staticify: start everything, keep it going, end it in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from staticify import __version__, config as configuration, logs, systemd
from staticify.config import Config, Site
from staticify.errors import ConfigError, StaticifyError
from staticify.keeper import Keeper
from staticify.listing import page_at
from staticify.nouns import Outcome, Result
from staticify.render import DENSE_AFTER_UNCHANGED
from staticify.schedule import Schedule
from staticify.store import Store
from staticify.tree import Found, Tree
from staticify.workers import Workers

log = logging.getLogger(__name__)

DRAIN_SECONDS = 8.0
"""For journeys under way at the end. With closing the rest, staticify is gone within 10 s of SIGTERM."""
FLUSH_SECONDS = 1.0


class Daemon:
    """Everything that lives as long as the process. `run` is its whole life."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tree = Tree(config.tree_path)
        self._store: Store
        self._workers = Workers()
        self._schedule: Schedule
        self._keepers: dict[str, Keeper] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start, serve until told to stop, drain, close. Raises TreeError or StoreError if it cannot start."""
        with self._tree_and_store():
            with _signals({signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self._hang_up}):
                await self._start()
                await self._stopping.wait()
                systemd.notify("STOPPING=1")
                await self._close()
            log.info("stopped")

    @contextmanager
    def _tree_and_store(self) -> Iterator[None]:
        self._tree.open()
        try:
            self._store = Store.open_for_writing(self._config.state_path)
            try:
                yield
            finally:
                self._workers.close()
                self._store.close()
        finally:
            self._tree.close()

    async def _start(self) -> None:
        started = time.monotonic()
        if self._store.set_aside:
            log.warning("the state database was corrupt and is set aside", extra={"path": str(self._store.set_aside)})
        left_over = await self._workers.run(self._tree.sweep)
        standing = await self._workers.run(lambda: list(self._tree.scan()))
        self._schedule = Schedule()
        self._schedule.start()
        for site in self._config.sites:
            await self._begin(site, standing)
        known = {site.base.netloc for site in self._config.sites}
        for netloc in sorted({found.place.netloc for found in standing} - known):
            log.warning(
                "the tree holds pages of a host that no site in the configuration has; nobody refreshes them",
                extra={"host": netloc, "path": str(self._tree.path / netloc)},
            )
        self._schedule.every(FLUSH_SECONDS, "write the state", self._flush)
        watchdog_seconds = systemd.watchdog_seconds()
        if watchdog_seconds is not None:
            self._schedule.every(watchdog_seconds / 3, "watchdog", self._watchdog)
        log.info(
            "started",
            extra={
                "version": __version__,
                "sites": len(self._keepers),
                "pages_in_tree": len(standing),
                "left_over": left_over,
                "exchange": self._tree.has_exchange,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
        systemd.notify("READY=1", f"STATUS={len(self._keepers)} sites")

    async def _close(self) -> None:
        await self._schedule.stop()
        await asyncio.gather(*(keeper.stop(DRAIN_SECONDS) for keeper in self._keepers.values()))

    async def _begin(self, site: Site, standing: Iterable[Found] = ()) -> None:
        keeper = Keeper(
            site,
            self._tree,
            self._store,
            self._workers,
            on_result=_log_result,
            dense_after=DENSE_AFTER_UNCHANGED,
        )
        self._keepers[site.url] = keeper
        await self._workers.run(
            keeper.adopt,
            [
                (page, found)
                for found in standing
                if (page := page_at(self._config, found.place)) and self._config.site_of(page) is site
            ],
        )
        keeper.start()

        async def cycle() -> None:
            await self._cycle(keeper)

        self._schedule.every(site.interval_seconds, f"cycle of {site.url}", cycle)

    async def _end(self, url: str) -> None:
        self._schedule.drop(f"cycle of {url}")
        await self._keepers.pop(url).stop(DRAIN_SECONDS)

    async def _cycle(self, keeper: Keeper) -> None:
        """Once each interval of a site: its list anew, and one line about the interval that went by."""
        counts = keeper.take_counts()
        oldest = keeper.oldest()
        await keeper.update_list()
        if oldest is None:
            return
        page, age_seconds = oldest
        summary = {
            "site": keeper.site.url,
            "pages": len(keeper),
            **{str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]},
            "oldest_seconds": round(age_seconds, 1),
        }
        log.info("cycle", extra=summary)
        bound_seconds = keeper.site.interval_for(page) + keeper.site.deadline_seconds
        if age_seconds > bound_seconds:
            log.error(
                "a page is older than the bound",
                extra={"url": page.url, "age_seconds": round(age_seconds, 1), "bound_seconds": bound_seconds},
            )

    async def _flush(self) -> None:
        try:
            await self._workers.run(self._store.flush)
        except StaticifyError as error:
            log.error("state not written", extra={"reason": str(error)})

    async def _watchdog(self) -> None:
        systemd.notify("WATCHDOG=1")

    def _stop(self) -> None:
        if self._stopping.is_set():
            log.warning("told to stop twice: ending at once")
            os._exit(1)
        log.info("stopping: journeys under way may end", extra={"seconds": DRAIN_SECONDS})
        self._stopping.set()

    def _hang_up(self) -> None:
        self._reload_task = asyncio.create_task(self._reload(), name="reload")

    async def _reload(self) -> None:
        """Take over a changed configuration. One with faults changes nothing."""
        source = self._config.source
        if source is None:
            return
        systemd.reloading()
        try:
            config = await self._workers.run(configuration.load, source)
            await self._take_over(config)
        except ConfigError as error:
            log.error("the new configuration has faults; the old one stays in force", extra={"path": str(source)})
            for fault in error.faults:
                log.error("fault", extra={"fault": str(fault)})
        finally:
            systemd.notify("READY=1")

    async def _take_over(self, config: Config) -> None:
        for key, old, new in (
            ("tree.path", self._config.tree_path, config.tree_path),
            ("state.path", self._config.state_path, config.state_path),
        ):
            if old != new:
                raise ConfigError(str(config.source), [configuration.Fault(key, "a change needs a restart")])
        old_sites = {site.url: site for site in self._config.sites}
        new_sites = {site.url: site for site in config.sites}
        changed = [url for url, site in old_sites.items() if new_sites.get(url) != site]
        await asyncio.gather(*(self._end(url) for url in changed))
        for url, site in new_sites.items():
            if url not in self._keepers:
                await self._begin(site)
        self._config = config
        logs.set_up(config.log_format, config.log_level)
        log.info("configuration reloaded", extra={"path": str(config.source), "sites": len(config.sites)})


def _log_result(result: Result) -> None:
    fields = {"url": result.url, "verdict": result.verdict, "seconds": round(result.seconds, 3)}
    if result.outcome is Outcome.PUBLISHED:
        log.info("published", extra={**fields, "bytes": result.record.size_bytes})
    elif result.outcome is not Outcome.UNCHANGED:
        # Said once when it begins; the cycle's line counts it after that.
        level = logging.WARNING if result.record.failures == 1 else logging.DEBUG
        log.log(level, str(result.outcome), extra={**fields, "reason": result.reason})


@contextmanager
def _signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)

