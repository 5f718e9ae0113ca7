"""``qpgaze record`` and ``qpgaze session``: a recording as it runs, and one that was cut."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.output import JSON_VERSION, console, emit_json, json_option
from qpgaze.cli.source_options import channels_option, python_option

if TYPE_CHECKING:
    from rich.text import Text

    from qpgaze.recording.live_recorder import Outcome, Told
    from qpgaze.recording.recovery import Recovery
    from qpgaze.recording.status import Status

WIDTH = 80
"""The status fits a terminal that nobody made wider."""


@click.command()
@click.argument("project", required=False, type=click.Path(path_type=Path))
@click.option(
    "--source",
    default="tobii",
    show_default=True,
    metavar="SPEC",
    help="tobii, lsl, gazepoint, mouse, simulated, or replay:SESSION.",
)
@click.option("--sessions", type=click.Path(path_type=Path), help="Folder for the session.")
@click.option("--name", help="Of the session; date and time where not given.")
@click.option("--reader", default="", metavar="PSEUDONYM", help="Who looks.")
@click.option(
    "--views",
    type=click.Choice(["auto", "qupath", "source", "none"]),
    default="auto",
    show_default=True,
    help="Where views and keys come from: QuPath, or the source's own.",
)
@click.option("--rate", "rate_hz", type=click.FloatRange(min=1), help="Set the tracker to, Hz.")
@python_option
@channels_option
@click.option(
    "--hook", metavar="PROCESS", help="Which QuPath, where several run: its process number."
)
@click.option("--no-labels", is_flag=True, help="Make no labels while recording.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
@click.pass_context
def record(
    context: click.Context,
    project: Path | None,
    source: str,
    sessions: Path | None,
    name: str | None,
    reader: str,
    views: Any,
    rate_hz: float | None,
    python: str | None,
    channels: tuple[str, ...],
    hook: str | None,
    no_labels: bool,
    as_json: bool,
) -> None:
    """Record gaze and QuPath's views into a session.

    The session goes into PROJECT (a .qpproj file or its folder), or into the
    project that is open in QuPath. Ctrl-C ends it. Tracker and QuPath may come
    and go; what is missing meanwhile is recorded as missing.
    """
    from qpgaze.recording.watch_end import Ending, standard_input
    from qpgaze.workflows.record import RecordOptions, record_session

    options = RecordOptions(
        source=source,
        project=project,
        sessions=sessions,
        name=name,
        reader=reader,
        views=views,
        rate_hz=rate_hz,
        python=python,
        channels=channels,
        hook=hook,
    )
    how = _lines(source) if as_json else _screen(source)
    with Ending(standard_input()) as ending, how as told:
        outcome = record_session(options, ending=ending, told=told, labels=not no_labels)
    if as_json:
        _emit("ended", **_outcome(outcome))
    else:
        _show(outcome)
    if outcome.failed:
        click.echo(f"qpgaze: {outcome.reason}", err=True)
        context.exit(2)


# -- for machines ------------------------------------------------------------------------------


@contextmanager
def _lines(source: str) -> Iterator[Told]:
    """Print one JSON object a line."""
    from qpgaze.recording.live_recorder import Told

    told_us = -1_000_000

    def status(now: Status) -> None:
        nonlocal told_us
        if now.t_us - told_us >= 900_000:
            told_us = now.t_us
            _emit("status", **now.to_json())

    yield Told(
        started=lambda folder, header: _emit(
            "started",
            session=str(folder),
            id=str(header.id),
            source=source,
            tracker=header.tracker,
            gaze_rate_hz=header.gaze_rate_hz,
        ),
        status=status,
        note=lambda t_us, text: _emit("note", t_us=t_us, text=text),
    )


def _emit(event: str, **fields: Any) -> None:
    from qpgaze.viewing_json import plain_json

    whole = {"qpgaze": "record", "version": JSON_VERSION, "event": event, **plain_json(fields)}
    # A machine that reads along must not wait for a buffer to fill.
    click.echo(json.dumps(whole, ensure_ascii=False))


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "session": str(outcome.path),
        "reason": outcome.reason,
        "failed": outcome.failed,
        "samples": outcome.samples,
        "viewer_states": outcome.viewer_states,
        "events": outcome.events,
        "audit": outcome.audit,
    }


# -- for people --------------------------------------------------------------------------------


@contextmanager
def _screen(source: str) -> Iterator[Told]:
    """Show a status that stays in its place, on stderr; notes scroll above it."""
    from rich.live import Live
    from rich.markup import escape

    from qpgaze.recording.live_recorder import Told

    screen = console(err=True)
    with Live(console=screen, auto_refresh=False, transient=True) as live:

        def status(now: Status) -> None:
            if screen.is_terminal:
                live.update(status_text(now, source, screen.width), refresh=True)

        yield Told(
            started=lambda folder, _: screen.print(
                f"Recording into {escape(str(folder))}. Ctrl-C ends it.", soft_wrap=True
            ),
            status=status,
            note=lambda t_us, text: screen.print(f"{clock(t_us)}  {text}", markup=False),
        )


def status_text(status: Status, source: str, width: int = WIDTH) -> Text:
    """Return the status as two lines, each cut to the width of the screen."""
    from rich.text import Text

    color = {"recording": "green", "paused": "yellow", "trouble": "red"}[status.state]
    viewer = {"none": "views of the source", "waiting": "no QuPath", "connected": "QuPath"}[
        status.viewer
    ]
    if status.images:
        more = f" +{len(status.images) - 1}" if len(status.images) > 1 else ""
        viewer += f": {status.images[0]}{more}"
    valid = "" if math.isnan(status.valid) else f"  {status.valid:.0%} valid"
    first = f"{clock(status.t_us)}  {source}  {status.hz:.0f} Hz{valid}  {viewer}"
    sync = (
        "clocks not compared" if status.sync_us is None else f"sync {status.sync_us / 1e3:.1f} ms"
    )
    labels = "" if status.labels is None else f"  {status.labels} labels"
    second = f"   {sync}{labels}  {size(status.bytes)}, {size(status.free_bytes)} free"
    text = Text()
    text.append("|| " if status.paused else "o  ", style=f"bold {color}")
    text.append(first[: width - 4])
    text.append("\n")
    text.append(second[: width - 1])
    if status.trouble or status.paused:
        text.append("\n")
        text.append(f"   {status.trouble or 'paused'}"[: width - 1], style=f"bold {color}")
    return text


def clock(t_us: int) -> str:
    """Say a time of the session for people.

    Examples
    --------
    >>> clock(3_723_000_000), clock(59_999_999)
    ('1:02:03', '0:59')
    """
    seconds = t_us // 1_000_000
    minutes = f"{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 3600}:{minutes}" if seconds >= 3600 else minutes.removeprefix("0")


def size(count: int) -> str:
    """Say a number of bytes for people.

    Examples
    --------
    >>> size(900), size(2_400_000), size(211_000_000_000)
    ('1 kB', '2.4 MB', '211.0 GB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _show(outcome: Outcome) -> None:
    from rich.text import Text

    out = console()
    out.print(Text(f"{outcome.path.name} is closed: {outcome.reason}."), soft_wrap=True)
    out.print(
        f"{outcome.samples} samples, {outcome.viewer_states} viewer states, "
        f"{outcome.events} events."
    )
    audit = outcome.audit
    if audit["uncertainty_us"] is not None and audit["near_view_change"] is not None:
        out.print(
            f"Gaze and views agree within {audit['worst_uncertainty_us'] / 1e3:.1f} ms; "
            f"{audit['near_view_change']:.1%} of the gaze lies that near to a change of view."
        )
    out.print("Next: 'qpgaze annotate' puts its labels into the project.")


# -- sessions that were cut --------------------------------------------------------------------


@click.group()
def session() -> None:
    """Mend recorded sessions."""


@session.command()
@click.argument("session", type=click.Path(path_type=Path))
@json_option
def recover(session: Path, as_json: bool) -> None:
    """Close a session whose recorder was cut.

    SESSION is a NAME.qpgaze folder. Incomplete ends are cut off, viewer states
    that the hook wrote itself are merged, and what is lost is said.
    """
    from qpgaze.recording.recovery import recover_session

    done = recover_session(session)
    if as_json:
        emit_json("session recover", _recovery(done))
        return
    out = console()
    out.print(f"{done.path.name}: ", end="", markup=False)
    out.print("was closed already." if done.was_closed and not done.merged else "is closed now.")
    out.print(
        f"{done.samples} samples over {done.duration_us / 1e6:.1f} s, {done.viewer_states} viewer "
        f"states, {done.events} events."
    )
    if done.merged:
        out.print(f"{done.merged} viewer states that the hook wrote were merged.")
    for text in done.lost:
        out.print(f"Lost: {text}", markup=False)


def _recovery(done: Recovery) -> dict[str, Any]:
    return {
        "session": str(done.path),
        "was_closed": done.was_closed,
        "duration_us": done.duration_us,
        "samples": done.samples,
        "viewer_states": done.viewer_states,
        "events": done.events,
        "torn_bytes": done.torn_bytes,
        "merged": done.merged,
        "left_out": done.left_out,
        "lost": list(done.lost),
    }
