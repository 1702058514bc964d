"""Everything the daemon hears while it runs: webhooks, changes of files, and a folder for orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from staticify.config import Config
from staticify.errors import StaticifyError, WatchError
from staticify.orders import Order
from staticify.spool import read_spool
from staticify.watch import Batch, Watch
from staticify.webhook import Call, Webhook

log = logging.getLogger(__name__)

_CODE_FOLDERS = ("themes", "plugins", "mu-plugins")
CODE_WAIT_SECONDS = 30.0
"""So long at most for a theme or plugins that are being written: what half of an upgrade renders is rendered twice."""
_UPLOADS = "uploads"
_CONFIGURATION = "configuration"
_SPOOL = "spool"


class Listener(Protocol):
    """Who acts on what is heard. A site is named by its URL."""

    def ask_journal(self, site: str) -> None:
        """A site's journal has something new."""

    def order(self, site: str | None, order: Order) -> int:
        """Somebody wants pages rendered anew, of one site or of whichever has them. Returns how many are queued."""

    def reload(self, *, is_asked: bool) -> None:
        """The configuration's file may have changed."""

    def take_id(self, message_id: str, now: float) -> bool:
        """False for a message that was heard before."""

    def health(self) -> Mapping[str, object]:
        """What a probe may know."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that is watched, and what a change in it means."""

    path: Path
    what: str
    site: str = ""


class Hearing:
    """Hears for one configuration from `start` until `stop`."""

    def __init__(self, config: Config, listener: Listener) -> None:
        self._config = config
        self._listener = listener
        self._webhook: Webhook | None = None
        self._watch: Watch | None = None
        self._watching: asyncio.Task[None] | None = None
        self._places = _places(config)

    async def start(self, before: Hearing | None = None) -> None:
        """Begin, in place of the one before, so that no change of a file falls between the two.

        What cannot be heard is said in the log: the pages are refreshed all the same.
        """
        if before is not None:
            await before.stop_listening()
        try:
            await self._listen()
        except StaticifyError as error:
            _say_unheard(error)
        try:
            await self._look(before)
        except StaticifyError as error:
            _say_unheard(error)
        if before is not None:
            await before.stop()

    async def stop_listening(self) -> None:
        """Take no more webhooks."""
        if self._webhook is not None:
            await self._webhook.stop()
            self._webhook = None

    async def stop(self) -> None:
        """Hear no more. Changes of files that were heard of by now are still dealt with."""
        await self.stop_listening()
        if self._watch is not None:
            await self._watch.stop()
            self._watch = None
        if self._watching is not None:
            await self._watching
            self._watching = None

    async def _listen(self) -> None:
        secrets = {site.url: site.secrets for site in self._config.sites if site.secrets}
        if self._config.listen is None:
            return
        if not secrets:
            log.warning("no site has `secrets`, so that no webhook could be believed: none is listened for")
            return
        webhook = Webhook(
            self._config.listen,
            secrets,
            on_call=self._hear,
            take_id=self._listener.take_id,
            health=self._listener.health,
            proxy_protocol_from=self._config.proxy_protocol_from,
        )
        await webhook.start()
        self._webhook = webhook
        log.info("listening for webhooks", extra={"address": str(self._config.listen)})

    def _hear(self, call: Call) -> int | None:
        if call.kind == "purge":
            return self._listener.order(call.site, Order(call.urls, call.tags, is_everything=call.everything))
        self._listener.ask_journal(call.site)
        return None

    async def _look(self, before: Hearing | None) -> None:
        if not self._places:
            return
        try:
            watch = await self._started_watch()
        except WatchError:
            if before is None:
                raise
            # Two at once are more than inotify's limits allow: nobody hears what happens between one and the other.
            await before.stop()
            watch = await self._started_watch()
            for site in sorted({place.site for place in self._places.values() if place.site}):
                log.warning("changes of files may have been missed: every page is checked", extra={"site": site})
                self._listener.order(site, Order(is_everything=True, is_hint=True))
        self._watch = watch
        self._watching = asyncio.create_task(self._follow(watch), name="file changes")
        if _SPOOL in self._places:
            await self._read_spool()

    async def _started_watch(self) -> Watch:
        watch = Watch(
            {name: place.path for name, place in self._places.items()},
            patience={name: CODE_WAIT_SECONDS for name, place in self._places.items() if place.what in _CODE_FOLDERS},
        )
        await watch.start()
        return watch

    async def _follow(self, watch: Watch) -> None:
        async for batch in watch.batches():
            try:
                await self._notice(batch)
            except Exception:
                # One batch; whatever it was about is found by the next sweep.
                log.exception("a change of files could not be dealt with", extra={"place": batch.name})

    async def _notice(self, batch: Batch) -> None:
        place = self._places[batch.name]
        fields = {"place": str(place.path), "files": len(batch.paths)}
        if place.what == _CONFIGURATION:
            self._listener.reload(is_asked=False)
        elif place.what == _SPOOL:
            await self._read_spool()
        elif batch.is_lost:
            log.warning("changes of files may have been missed: every page is checked", extra=fields)
            self._listener.order(place.site, Order(is_everything=True, is_hint=True))
        elif place.what == _UPLOADS:
            uploads = tuple(sorted(str(path.relative_to(place.path)) for path in batch.paths))
            self._listener.order(place.site, Order(uploads=uploads, is_hint=True))
        else:
            log.info("code changed: every page is rendered anew", extra=fields)
            self._listener.order(place.site, Order(is_everything=True, is_hint=True))

    async def _read_spool(self) -> None:
        folder = self._places[_SPOOL].path
        for order in await asyncio.to_thread(read_spool, folder):
            for fault in order.faults:
                log.error("a file in the spool is not understood", extra={"file": order.name, "fault": str(fault)})
            self._listener.order(None, Order(order.urls, order.tags, is_everything=order.everything))


def _say_unheard(error: StaticifyError) -> None:
    log.error("not heard: changes are seen at the next interval", extra={"reason": str(error)})


def _places(config: Config) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    if config.source is not None:
        places[_CONFIGURATION] = _Place(config.source, _CONFIGURATION)
    if config.spool_path is not None:
        places[_SPOOL] = _Place(config.spool_path, _SPOOL)
    for site in config.sites:
        if site.wp_content is not None:
            for name in (*_CODE_FOLDERS, _UPLOADS):
                places[f"{name} of {site.url}"] = _Place(Path(site.wp_content) / name, name, site.url)
    return places
