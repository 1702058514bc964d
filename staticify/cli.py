"""The command line. Each command imports what it needs when it runs: `--help` must answer at once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import io
import os
import stat
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from staticify import __version__
from staticify.errors import ConfigError, Fault, StaticifyError, UrlError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from staticify.config import Config, Site
    from staticify.urls import Page

T = TypeVar("T")

EXIT_GOOD = 0
EXIT_NOT_GOOD = 1
EXIT_USAGE = 2
EXIT_NOT_COMPARED = 3


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. By now all is imported: what lives so far lives on, and is not looked at again."""
    if not gc.isenabled():  # A process of its own (`run_process`), not somebody else's.
        gc.freeze()
        gc.enable()
    results: list[T] = []

    async def keep() -> None:
        results.append(await work)

    # Not as the task's own result: as asyncio.run gives SIGINT back its handler, Python writes out the task with all
    # that it came to, twice, for a message that nobody sees. That took 30 ms after a pass over 1,000 pages.
    asyncio.run(keep())
    return results[0]


class _Commands(click.Group):
    """Turns our own errors into one readable message and the right exit status."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (ConfigError, UrlError) as error:
            _complain(error)
            sys.exit(EXIT_USAGE)
        except StaticifyError as error:
            _complain(error)
            sys.exit(EXIT_NOT_GOOD)
        except KeyboardInterrupt:
            sys.exit(130)


def _complain(error: StaticifyError) -> None:
    from staticify.logs import printable

    # Who cannot be told gets the exit status all the same.
    with contextlib.suppress(OSError):
        for line in str(error).splitlines():
            click.echo(f"staticify: {printable(line)}" if not line.startswith(" ") else printable(line), err=True)


def _with_config(function: Callable[..., Any], *, reads_secrets: bool = True) -> Callable[..., Any]:
    """Give a command --config, and its first argument the configuration that it names."""

    @click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, readable=False),
        help="Configuration file. Default: ./staticify.toml, then /etc/staticify/staticify.toml.",
    )
    @functools.wraps(function)
    def command(config_path: Path | None, **kwargs: Any) -> Any:
        from staticify import config

        return function(_loaded(config.find(config_path), reads_secrets=reads_secrets), **kwargs)

    return command


# The daemon's credentials are its own: what asks nobody does without.
_with_config_alone = functools.partial(_with_config, reads_secrets=False)


def _loaded(path: Path, *, reads_secrets: bool = True) -> Config:
    """The configuration in a file. Raises ConfigError."""
    from staticify import config

    # A pipe that nobody writes to would keep us waiting. One without a name is the shell's own: `<(...)`, `|`.
    with contextlib.suppress(OSError, ValueError):  # What is out of reach, `load` has words for.
        mode = path.stat().st_mode
        is_unnamed = stat.S_ISFIFO(mode) and not os.path.lexists(os.path.realpath(path))
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or is_unnamed):
            raise ConfigError(str(path), [Fault("", "the file cannot be read: it is no regular file")])
    return config.load(path, reads_secrets=reads_secrets)


_json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="staticify")
def main() -> None:
    """Keep a WordPress site's key pages as static files that the web server sends by itself."""


@main.command()
@click.argument("url")
@click.option(
    "--origin",
    multiple=True,
    help="Address of WordPress itself: http://HOST:PORT, https://HOST:PORT or unix:/PATH. May be given several times.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    default=Path("staticify.toml"),
    show_default=True,
    help="File to write.",
)
@click.option("--tree", type=click.Path(path_type=Path), help="Directory that the web server will serve.")
@click.option("--state", type=click.Path(path_type=Path), help="Directory of the state database.")
@click.option("--interval", default="60s", show_default=True, help="How often each page is fetched.")
@click.option("--concurrency", default=4, show_default=True, help="Pages in flight at once.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@_json_option
def init(
    url: str,
    origin: tuple[str, ...],
    config_path: Path,
    tree: Path | None,
    state: Path | None,
    interval: str,
    concurrency: int,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Read the site at URL, propose its key pages, and write a commented configuration."""
    from staticify import init as initialisation, report

    # Before the site is read: trying its pages may take a minute.
    initialisation.check_target(config_path, force=force)
    with report.progress("trying every page", is_quiet=as_json or not sys.stderr.isatty()) as progress:
        proposal, text = _run(
            initialisation.draw_up(
                url,
                origin,
                interval=interval,
                concurrency=concurrency,
                # A shell's path begins where the shell is, one in the file where the file is.
                tree_path=str(tree.absolute()) if tree else "",
                state_path=str(state.absolute()) if state else "",
                on_proposal=progress.add_total,
                on_page=lambda: progress.advance(""),
            )
        )
    initialisation.write(config_path, text, force=force)
    tree_path = _loaded(config_path).tree_path
    if as_json:
        report.print_json(initialisation.as_json(proposal, config_path, tree_path))
    else:
        initialisation.print_proposal(proposal, config_path, tree_path)


@main.command()
@click.argument("urls", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every page of every site.")
@_json_option
@_with_config
def render(config: Config, urls: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Render pages now, once. Exit status 0 only if every page is good."""
    from staticify import oneshot, report
    from staticify.holding import check_owner

    pages = _selected(config, urls, everything=everything)
    check_owner(config.tree_path)
    started = time.monotonic()
    with report.progress("rendering", is_quiet=as_json) as progress:
        done = _run(
            oneshot.render(
                config,
                pages,
                on_list=progress.add_total,
                on_result=lambda result: progress.advance(report.line_of(result)),
            )
        )
    seconds = time.monotonic() - started
    if as_json:
        report.print_json(report.summary_json(done.results, done.notes, seconds, config.tree_path))
    else:
        _print_notes(done.notes)
        report.print_summary(done.results, seconds, config.tree_path, are_named=progress.are_named)
    if done.fault is not None:
        raise done.fault
    is_good = all(result.outcome.is_good for result in done.results) and done.is_complete
    sys.exit(EXIT_GOOD if is_good else EXIT_NOT_GOOD)


@main.command()
@_with_config
def run(config: Config) -> None:
    """Keep every page fresh until told to stop (SIGTERM). SIGHUP reads the configuration anew."""
    from staticify import logs
    from staticify.daemon import Daemon
    from staticify.holding import check_owner

    logs.set_up(config.log_format, config.log_level)
    check_owner(config.tree_path)

    async def live() -> None:
        await Daemon(config).run()

    try:
        _run(live())
    except UrlError as error:
        # The configuration was read before. Its status would keep the service manager from starting a daemon again.
        raise StaticifyError(f"the daemon died: {error}", hint="This is a defect: please report it") from error


@main.command()
@click.argument("urls", nargs=-1)
@click.option("--tag", "tags", multiple=True, help="Pages with this tag, such as post:12. May be given several times.")
@click.option("--all", "everything", is_flag=True, help="Every page.")
@click.option("--site", "site_url", help="The site that --tag and --all are about, if there are several.")
@_json_option
@_with_config
def purge(
    config: Config,
    urls: tuple[str, ...],
    tags: tuple[str, ...],
    *,
    everything: bool,
    site_url: str | None,
    as_json: bool,
) -> None:
    """Tell the running daemon to render pages anew, now. What is in the tree stays until then.

    Exit status 1 if no page is meant.
    """
    from staticify import report, telling
    from staticify.orders import Order
    from staticify.tags import is_tag
    from staticify.units import counted

    if sum((bool(urls), bool(tags), everything)) != 1:
        raise click.UsageError("give either URLs, --tag or --all")
    if urls and site_url is not None:
        raise click.UsageError("--site is for --tag and --all; a URL says of which site it is")
    if wrong := [tag for tag in tags if not is_tag(tag)]:
        raise click.UsageError(f"{wrong[0]!r} is no tag; a tag has no white space, like post:12")
    if urls:
        named = _named(config, urls)
        orders = {site: Order(urls=tuple(page.url for page in pages)) for site, pages in named.items()}
    else:
        orders = {_site_named(config, site_url): Order(tags=tags, is_everything=everything)}

    async def tell() -> int:
        return sum([await telling.tell(config, site, order) for site, order in orders.items()])

    count = _run(tell())
    if as_json:
        report.print_json({"pages": count})
    else:
        none = "is called so" if urls else "has this tag" if tags else "is kept yet"
        click.echo(f"told: {counted(count, 'page')}{'' if count else f': no page of the site {none}'}")
    sys.exit(EXIT_GOOD if count else EXIT_NOT_GOOD)


def _site_named(config: Config, url: str | None) -> Site:
    sites = [site for site in config.sites if url is None or site.url in {url, f"{url}/"}]
    if len(sites) != 1:
        known = ", ".join(site.url for site in config.sites)
        raise click.UsageError(f"give --site with one of: {known}")
    return sites[0]


@main.command()
@click.option("--problems", is_flag=True, help="Only pages that are not well: not fresh, or not rendered well.")
@_json_option
@_with_config_alone
def status(config: Config, *, problems: bool, as_json: bool) -> None:
    """Show state, age, last change, size, render time and verdict of every page.

    Exit status 1 if a page in the tree is older than its bound, if another hand took one away, or if the tree has no
    page of a site: for monitoring.
    """
    from dataclasses import asdict

    from staticify import report
    from staticify.holding import has_daemon
    from staticify.overview import overload_of, overview, problems_of, unwritten_seconds
    from staticify.store import written_at

    is_running, now = has_daemon(config.tree_path), time.time()
    pages, sites = overview(config, now)
    state_written_at = written_at(config.state_path)
    overloads = {site.url: overload_of(config, site, pages) for site in sites}
    if problems:
        pages = problems_of(config, pages)
    if as_json:
        known = {"sites": [asdict(site) for site in sites], "pages": [asdict(page) for page in pages]}
        report.print_json({"is_daemon_running": is_running, "state_written_at": state_written_at, **known})
    else:
        unwritten = unwritten_seconds(config, sites, state_written_at, now) if is_running else None
        report.print_status(pages, sites, is_running=is_running, overloads=overloads, unwritten_seconds=unwritten)
    is_good = not any(site.stale or not site.fresh for site in sites) and not any(page.is_lost for page in pages)
    sys.exit(EXIT_GOOD if is_good else EXIT_NOT_GOOD)


@main.command()
@click.argument("url")
@click.option("--twice", is_flag=True, help="Fetch it for two visitors, and say whether each is greeted by name.")
@_json_option
@_with_config
def explain(config: Config, url: str, *, twice: bool, as_json: bool) -> None:
    """Show everything that is known of one page."""
    from staticify import report, verify as verification
    from staticify.listing import page_named
    from staticify.overview import explain_page

    site, page = page_named(config, url)
    explanation = explain_page(config, page, time.time())
    fetched = _run(verification.fetch_twice(site, page)) if twice else None
    if as_json:
        report.print_json(report.explanation_json(explanation, fetched))
    else:
        report.print_explanation(explanation, fetched)
    sys.exit(EXIT_GOOD if fetched is None or fetched.is_good else EXIT_NOT_GOOD)


@main.command()
@click.argument("urls", nargs=-1)
@_json_option
@_with_config
def verify(config: Config, urls: tuple[str, ...], *, as_json: bool) -> None:
    """Fetch anew and compare with the tree. Exit status 1 and a list where they differ.

    Exit status 3 if nothing differs that could be compared, and something could not: WordPress is down, say.
    """
    from staticify import report, verify as verification

    pages = _named(config, urls) if urls else None
    compared = 0

    def count(found: verification.Difference | None) -> None:
        nonlocal compared
        compared += found is None or found.is_compared
        progress.advance("")

    with report.progress("comparing", is_quiet=True if as_json else not sys.stderr.isatty()) as progress:
        differences = _run(verification.verify(config, pages, on_list=progress.add_total, on_page=count))
    if as_json:
        report.print_json(report.differences_json(differences, compared))
    else:
        report.print_differences(differences, compared)
    if any(difference.is_compared for difference in differences):
        sys.exit(EXIT_NOT_GOOD)
    sys.exit(EXIT_NOT_COMPARED if differences else EXIT_GOOD)


@main.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    help="Configuration file. Default: ./staticify.toml, then /etc/staticify/staticify.toml.",
)
@_json_option
def check(config_path: Path | None, *, as_json: bool) -> None:
    """Check the configuration. All faults at once, with line and key; exit status 2 if there are any."""
    from dataclasses import asdict

    from staticify import audit, config, report
    from staticify.units import counted

    path = config_path
    try:
        path = config.find(config_path)
        loaded = _loaded(path)
        audit.check(loaded, path)
    except ConfigError as error:
        if not as_json:
            raise
        report.print_json({"path": str(path) if path else None, "faults": [asdict(fault) for fault in error.faults]})
        sys.exit(EXIT_USAGE)
    warnings = list(audit.warnings_of(loaded))
    if as_json:
        report.print_json({"path": str(path), "faults": [], "warnings": warnings})
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    pages = sum(len(site.pages) for site in loaded.sites)
    sitemaps = sum(len(site.sitemaps) for site in loaded.sites)
    found = f"{counted(len(loaded.sites), 'site')}, {counted(pages, 'page')}, {counted(sitemaps, 'sitemap')}"
    click.echo(f"{path}: good. {found}")


@main.command("config")
@click.argument("kind")
@click.option("--part", default="", help="One part alone, such as http or server of nginx.")
@_with_config_alone
def print_recipe(config: Config, kind: str, part: str) -> None:
    """Print a configuration made for this staticify.toml. KIND is nginx, apache, caddy, haproxy or systemd."""
    from staticify import recipes

    if kind not in recipes.RECIPES:
        raise click.UsageError(f"{kind!r} is none of {', '.join(recipes.RECIPES)}")
    if part not in recipes.parts_of(kind):
        parts = ", ".join(filter(None, recipes.parts_of(kind)))
        said = f"{kind} has no part {part!r}; it has {parts}" if parts else f"{kind} has no parts: leave --part out"
        raise click.UsageError(said)
    click.echo(recipes.recipe(kind, config, part, program=_own_program()), nl=False)


def _own_program() -> str:
    """The absolute path of the command `staticify` that is running, or else of the one beside its Python."""
    called = Path(sys.argv[0])
    return str((called if called.name == "staticify" else Path(sys.executable).with_name("staticify")).absolute())


def _selected(config: Config, urls: tuple[str, ...], *, everything: bool) -> dict[Site, list[Page]] | None:
    """The pages to work on; None means all."""
    if everything == bool(urls):
        raise click.UsageError("give either URLs or --all")
    return None if everything else _named(config, urls)


def _named(config: Config, urls: tuple[str, ...]) -> dict[Site, list[Page]]:
    from staticify.listing import pages_named

    return pages_named(config, urls)


def _print_notes(notes: tuple[Any, ...]) -> None:
    from staticify.logs import printable

    for note in notes:
        click.echo(f"note: {printable(note.where)}: {printable(note.message)}")


class _Output(io.FileIO):
    """Standard output that remembers why it could not be written: every other OSError that gets here is a defect."""

    fault: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.fault = error
            raise


def _set_up_streams() -> _Output:
    """Standard output as one of ours. One that is closed (`>&-`) is opened first: the next file would be it."""
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process lives
    encoding, errors = "utf-8", None
    if sys.stdout is None:
        # For reading, so that whoever writes hears that nobody gets it.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
    else:
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
    # What a terminal's character set lacks is spelled out, as Python does on standard error.
    errors = "backslashreplace" if errors in {None, "strict"} else errors
    output = _Output(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), encoding, errors, line_buffering=output.isatty())
    return output


def run_process() -> NoReturn:
    """Run a command as a process of its own, and end the process.

    Much of it is about time that every small pass would pay: collecting garbage while modules are imported costs 20 ms,
    httpx's own command line, which it imports where it can, 45, taking the interpreter down module by module 50.
    """
    gc.disable()
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # None is Python's own word for "not there".
    output = _set_up_streams()
    try:
        main()
        status: object = EXIT_GOOD
    except SystemExit as end:
        status = end.code
    except OSError as error:
        if output.fault is None and not isinstance(error, BrokenPipeError):
            raise
        status = EXIT_NOT_GOOD
    # Everything that matters was closed by its owner; only these two still hold something back.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if output.fault is not None and not isinstance(output.fault, BrokenPipeError):
        _complain(StaticifyError(f"standard output cannot be written: {output.fault.strerror}"))
        status = status or EXIT_NOT_GOOD
    os._exit(status if isinstance(status, int) else EXIT_GOOD if status is None else EXIT_NOT_GOOD)


if __name__ == "__main__":
    run_process()
