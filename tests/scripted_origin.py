"""A real HTTP server that answers what the test says, byte for byte: for what no real server does on command."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
Script = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request, and the means to answer it."""

    path: str
    headers: dict[str, str]
    writer: asyncio.StreamWriter
    body: bytes = b""
    is_last: bool = True
    """Of its connection. A script that wants the connection kept says so."""

    async def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()
        # Over TLS drain() does not see that the other side is gone before the event loop had its turn.
        await asyncio.sleep(0)


def answer(
    body: bytes | str = b"", status: int = 200, *, content_type: str = "text/html; charset=UTF-8", **fields: str
) -> bytes:
    """A whole, well-framed answer. Underscores in field names stand for hyphens."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content


def html(text: str = "hello", *, title: str = "A page", head: str = "", body_class: str = "single postid-7") -> str:
    """A small whole page as a WordPress theme writes it."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="UTF-8"><title>{title}</title>{head}</head>\n'
        f'<body class="{body_class}"><main><p>{text}</p></main></body>\n</html>\n'
    )


def urlset(*paths: str) -> bytes:
    """The answer that is a sitemap of some pages of example.org."""
    entries = "".join(f"<url><loc>https://example.org{path}</loc></url>" for path in paths)
    return answer(f'<urlset xmlns="{NAMESPACE}">{entries}</urlset>', content_type="application/xml")


@dataclass
class ScriptedOrigin:
    """Answers by path. What has no script is 404."""

    address: str = ""
    pages: dict[str, bytes | str | Script] = field(default_factory=dict)
    requests: list[Exchange] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def paths(self) -> list[str]:
        """The paths asked for so far."""
        return [exchange.path for exchange in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request_line := await reader.readline():
                headers = {}
                while (line := await reader.readline()).strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.strip().lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                exchange = Exchange(request_line.split()[1].decode(), headers, writer, body)
                self.requests.append(exchange)
                script = self.pages.get(exchange.path, answer(b"nothing here", 404))
                if isinstance(script, str):
                    script = answer(script)
                if isinstance(script, bytes):
                    await exchange.send(script)
                else:
                    await script(exchange)
                    if exchange.is_last:
                        break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client left, which some tests want, or the test is over.
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self, **listen: str) -> AsyncIterator[ScriptedOrigin]:
        """Listen on a free port of loopback, on `port=`, or on `path=` as a unix socket."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            await self._serve(reader, writer)
            tasks.discard(task)

        if "path" in listen:
            server = await asyncio.start_unix_server(serve, listen["path"])
            self.address = f"unix:{listen['path']}"
        else:
            host = listen.get("host", "127.0.0.1")
            server = await asyncio.start_server(serve, host, int(listen.get("port", "0")), ssl=self.tls)
            port = server.sockets[0].getsockname()[1]
            scheme = "http" if self.tls is None else "https"
            self.address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
