"""The long-running staticify: start everything, keep it going, end it in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from staticify import __version__, config as configuration, logs, systemd
from staticify.config import Config, Site
from staticify.errors import ConfigError, Fault, OriginPaused, StaticifyError, StoreError, TreeError
from staticify.follower import Follower
from staticify.hearing import Hearing
from staticify.keeper import Keeper
from staticify.listing import Standing, sites_inside, standing_of
from staticify.nouns import Mode, Outcome, Result
from staticify.orders import Order, carry_out, carry_out_at_once
from staticify.render import DENSE_AFTER_UNCHANGED
from staticify.schedule import Schedule
from staticify.store import Store
from staticify.tree import LINGER_SECONDS, Found, Tree
from staticify.units import counted
from staticify.urls import Page
from staticify.workers import Workers

log = logging.getLogger(__name__)

DRAIN_SECONDS = 7.0
"""For journeys under way at the end. With closing the rest, staticify is gone within 10 s of SIGTERM."""
FLUSH_SECONDS = 1.0
ORDERS_SECONDS = 1.0
"""For orders under way at the end."""


class Daemon:
    """Everything that lives as long as the process. `run` is its whole life."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tree = Tree(config.tree_path, may_link=config.tree_links == "own", is_daemon=True)
        self._store: Store
        self._workers = Workers()
        self._schedule: Schedule
        self._keepers: dict[str, Keeper] = {}
        self._followers: dict[str, Follower] = {}
        """Of the sites that share a secret with WordPress."""
        self._hearing: Hearing | None = None
        self._orders: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._defect = ""
        """What broke that the daemon cannot go on without."""
        self._is_state_written = True
        self._is_faulty = False
        """True from a reload that found faults until one that does not."""
        self._reloads: set[asyncio.Task[None]] = set()
        # Start and reloads change the same things: one after the other.
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Start, serve until told to stop, drain, close.

        Raises TreeError or StoreError if it cannot start, StaticifyError if it had to end by a defect of its own:
        an exit status that makes the service manager start it again.
        """
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self.reload}
        with self._tree_and_store(), _signals(handlers):
            self._schedule = Schedule()
            try:
                async with self._changing:
                    await self._start()
                await self._stopping.wait()
            finally:
                await self._close()
        log.info("stopped")
        if self._defect:
            raise StaticifyError(self._defect, hint="This is a defect: please report it with the log's last lines")

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
        if self._store.fault is not None:
            log.error("state not written", extra={"reason": str(self._store.fault)})
            self._is_state_written = False
        left_over = await self._workers.run(self._tree.sweep)
        standing = await self._standing(self._config)
        self._schedule.start()
        for site in self._config.sites:
            await self._begin(site, standing.pages.get(site.url, ()))
        await self._hear_anew()
        self._warn_of_strangers(standing)
        self._schedule.every(FLUSH_SECONDS, "write the state", self._flush)
        self._schedule.every(LINGER_SECONDS, "tidy the tree", self._tidy)
        watchdog_seconds = systemd.watchdog_seconds()
        if watchdog_seconds is not None:
            self._schedule.every(watchdog_seconds / 3, "watchdog", self._watchdog)
        log.info(
            "started",
            extra={
                "version": __version__,
                "sites": len(self._keepers),
                "pages_in_tree": standing.count,
                "left_over": left_over,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
        systemd.notify("READY=1", f"STATUS={counted(len(self._keepers), 'site')}")

    async def _standing(self, config: Config) -> Standing:
        return await self._workers.run(lambda: standing_of(config, self._tree.scan()))

    def _warn_of_strangers(self, standing: Standing) -> None:
        """Say which pages stand in the tree, are served, and belong to no site of the configuration."""
        for netloc, count in sorted(standing.strangers.items()):
            log.warning(
                "the tree holds pages that belong to no site of the configuration; nobody refreshes them",
                extra={"host": netloc, "pages": count, "path": str(self._tree.path / netloc)},
            )

    async def _close(self) -> None:
        for reload in self._reloads:
            reload.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
        systemd.notify("STOPPING=1")
        if self._hearing is not None:
            await self._hearing.stop()
        # What was heard to the last is due then, and the next start knows it.
        if self._orders:
            await asyncio.wait(self._orders, timeout=ORDERS_SECONDS)
        for order in self._orders:
            order.cancel()
        await asyncio.gather(*self._orders, return_exceptions=True)
        await self._schedule.stop()
        await asyncio.gather(*(follower.stop() for follower in self._followers.values()))
        await asyncio.gather(*(keeper.stop(DRAIN_SECONDS) for keeper in self._keepers.values()))

    async def _begin(self, site: Site, standing: Iterable[tuple[Page, Found]]) -> None:
        results = _Results()
        keeper = Keeper(
            site,
            self._tree,
            self._store,
            self._workers,
            others=sites_inside(self._config, site),
            on_result=results.log,
            dense_after=DENSE_AFTER_UNCHANGED,
        )
        self._keepers[site.url] = keeper
        await self._workers.run(keeper.adopt, standing)
        keeper.start().add_done_callback(self._task_ended)
        follower = Follower(keeper, self._store) if site.secrets else None
        if follower is not None:
            self._followers[site.url] = follower
            follower.start().add_done_callback(self._task_ended)

            async def ask() -> None:
                follower.tell()

            # As often as the pages that are to be the freshest.
            seconds = min([site.interval_seconds, *(group.interval_seconds for group in site.groups)])
            self._schedule.every(seconds, f"journal of {site.url}", ask)

        is_first = True

        async def cycle() -> None:
            nonlocal is_first
            # The alarm first: reading a slow site's sitemaps may take longer than the interval.
            if not is_first:
                _log_interval(keeper)
            is_first = False
            await keeper.update_list()
            results.forget_unknown(self._store)

        self._schedule.every(site.interval_seconds, f"cycle of {site.url}", cycle)

    async def _end(self, url: str) -> None:
        self._schedule.drop(f"cycle of {url}")
        if (follower := self._followers.pop(url, None)) is not None:
            self._schedule.drop(f"journal of {url}")
            await follower.stop()
        await self._keepers[url].stop(DRAIN_SECONDS)
        del self._keepers[url]

    # --- What is heard -----------------------------------------------------------------------------------------------

    async def _hear_anew(self) -> None:
        before, self._hearing = self._hearing, Hearing(self._config, self)
        await self._hearing.start(before)

    def ask_journal(self, site: str) -> None:
        """Read a site's journal now."""
        if (follower := self._followers.get(site)) is not None:
            follower.tell()

    def order(self, site: str | None, order: Order) -> int:
        """Render anew what somebody asks for. Returns how many pages that is, but for those that show uploads."""
        keepers = list(self._keepers.values()) if site is None else [self._keepers[site]] * (site in self._keepers)
        if not order.uploads:
            return sum(_logged(keeper, carry_out_at_once(order, keeper)) for keeper in keepers)
        for keeper in keepers:
            task = asyncio.create_task(self._carry_out(order, keeper), name="order")
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)
        return 0

    async def _carry_out(self, order: Order, keeper: Keeper) -> None:
        _logged(keeper, await carry_out(order, keeper))

    def take_id(self, message_id: str, now: float) -> bool:
        """Remember a message's id; false if it was heard before."""
        return self._store.take_id(message_id, now)

    def health(self) -> Mapping[str, object]:
        """What a probe may know: whether every page of every site is within its bound, and what is under way.

        A state that stays in memory makes no page late, and is lost with the process: it is said beside that.
        """
        sites = {url: self._health_of(keeper) for url, keeper in self._keepers.items()}
        return {
            "ok": not any(site["late"] for site in sites.values()),
            "is_state_written": self._is_state_written,
            "version": __version__,
            "sites": sites,
        }

    def _health_of(self, keeper: Keeper) -> dict[str, object]:
        state = self._store.site(keeper.site.url)
        return {
            "late": keeper.latest() is not None,
            "mode": Mode.JOURNAL if keeper.is_following else Mode.BLIND,
            "position": state.since,
            "missed": state.missed,
            "pages": len(keeper),
            "pending": keeper.pending,
            "journeys": keeper.journeys,
        }

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Going on would leave a site that looks served and is never refreshed.
            self._give_up(f"the {task.get_name()} died", error)

    def _give_up(self, defect: str, error: BaseException) -> None:
        log.critical("%s: ending", defect, exc_info=error)
        self._defect = self._defect or f"{defect}: {type(error).__name__}: {error}"
        self._stopping.set()

    async def _flush(self) -> None:
        for url, keeper in self._keepers.items():
            self._store.put_origin(url, keeper.origin)
        try:
            await self._workers.run(self._store.flush)
        except StoreError as error:
            # Said once: it is tried again each second.
            if self._is_state_written:
                log.error("state not written", extra={"reason": str(error)})  # noqa: TRY400  the reason says all
            self._is_state_written = False
        else:
            if not self._is_state_written:
                log.info("state written again")
            self._is_state_written = True

    async def _tidy(self) -> None:
        await self._workers.run(self._tree.tidy)

    async def _watchdog(self) -> None:
        systemd.notify("WATCHDOG=1")

    def _stop(self) -> None:
        if self._stopping.is_set():
            log.warning("told to stop twice: ending at once")
            os._exit(1)
        log.info("stopping: journeys under way may end", extra={"seconds": DRAIN_SECONDS})
        self._stopping.set()

    def reload(self, *, is_asked: bool = True) -> None:
        """Read the configuration anew. Unless somebody asked for it, one that says what it said is no event."""
        if self._stopping.is_set():
            return  # Those before were cancelled where they stood, and nothing more is to begin.
        reload = asyncio.create_task(self._reload(is_asked=is_asked), name="reload")
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)

    async def _reload(self, *, is_asked: bool) -> None:
        """Take over a changed configuration. One with faults changes nothing, nor does a tree that cannot be read."""
        source = self._config.source
        if source is None:
            return
        async with self._changing:
            systemd.reloading()
            try:
                config = await self._workers.run(configuration.load, source)
                if is_asked or config != self._config:
                    await self._take_over(config)
                elif self._is_faulty:
                    log.info("the configuration is good again, and says what it said", extra={"path": str(source)})
                self._is_faulty = False
            except ConfigError as error:
                self._is_faulty = True
                _log_faults(error)
            except TreeError as error:  # Of the scan: nothing was changed before it.
                log.error(  # noqa: TRY400  the reason says all
                    "the tree cannot be read; the old configuration stays in force", extra={"reason": str(error)}
                )
            except Exception as error:  # noqa: BLE001  half of the sites may be neither the old nor the new ones
                self._give_up("the reload failed", error)
            finally:
                systemd.notify("READY=1")

    async def _take_over(self, config: Config) -> None:
        for key, old_path, new_path in (
            ("tree.path", self._config.tree_path, config.tree_path),
            ("tree.links", self._config.tree_links, config.tree_links),
            ("state.path", self._config.state_path, config.state_path),
        ):
            if old_path != new_path:
                raise ConfigError(str(config.source), [Fault(key, "a change needs a restart")])
        old = {site.url: (site, sites_inside(self._config, site)) for site in self._config.sites}
        new = {site.url: (site, sites_inside(config, site)) for site in config.sites}
        standing = await self._standing(config)
        self._config = config

        async def change(url: str) -> None:
            if url in old:
                await self._end(url)
            if url in new:
                await self._begin(new[url][0], standing.pages.get(url, ()))

        # Each by itself: a site that takes its time to end holds up no other.
        await asyncio.gather(*(change(url) for url in old.keys() | new.keys() if old.get(url) != new.get(url)))
        self._warn_of_strangers(standing)
        await self._hear_anew()
        logs.set_up(config.log_format, config.log_level)
        log.info("configuration reloaded", extra={"path": str(config.source), "sites": len(config.sites)})


def _log_faults(error: ConfigError) -> None:
    log.error("the new configuration has faults; the old one stays in force", extra={"path": error.source})
    for fault in error.faults:
        log.error("fault", extra={"fault": str(fault)})


def _log_interval(keeper: Keeper) -> None:
    oldest = keeper.oldest()
    if oldest is None:
        return
    counts = keeper.take_counts()
    summary = {
        "site": keeper.site.url,
        "pages": len(keeper),
        **{str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]},
        "oldest_seconds": round(oldest[1], 1),
    }
    log.info("cycle", extra=summary)
    latest = keeper.latest()
    if latest is not None:
        page, age_seconds = latest
        log.error(
            "a page is older than the bound",
            extra={
                "url": page.url,
                "age_seconds": round(age_seconds, 1),
                "bound_seconds": keeper.bound_seconds(page),
            },
        )


class _Results:
    """The log lines of one site's journeys."""

    def __init__(self) -> None:
        self._said: dict[str, set[str]] = {}
        """What was said to be wrong with each page (verdicts) since it was well."""

    def log(self, result: Result) -> None:
        """Say what is wrong with a page once, and when it leaves the tree; the cycle's line counts it after that."""
        fields = {"url": result.url, "verdict": result.verdict, "seconds": round(result.seconds, 3)}
        if result.outcome in {Outcome.KEPT, Outcome.REFUSED}:
            said = self._said.setdefault(result.url, set())
            # A pause is the site's, and has a line of its own.
            is_new = result.verdict not in {*said, OriginPaused.name}
            said.add(result.verdict)
            level = logging.WARNING if is_new else logging.DEBUG
            log.log(level, str(result.outcome), extra={**fields, "reason": result.reason})
            return
        self._said.pop(result.url, None)
        if result.outcome is Outcome.PUBLISHED:
            log.info("published", extra={**fields, "bytes": result.record.size_bytes})
        elif result.outcome is Outcome.GONE:
            # Or was never there, although it is listed.
            has_left = result.record.checked_at in {result.record.changed_at, result.record.first_seen_at}
            level = logging.WARNING if has_left else logging.DEBUG
            log.log(level, str(result.outcome), extra={**fields, "reason": result.reason})

    def forget_unknown(self, store: Store) -> None:
        """Forget pages of which there is no record any more: nothing would be heard of them again."""
        for url in [url for url in self._said if store.get(url) is None]:
            del self._said[url]


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


def _logged(keeper: Keeper, count: int) -> int:
    log.info("purge", extra={"site": keeper.site.url, "pages": count})
    return count
