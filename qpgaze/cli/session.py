"""``qpgaze inspect``, ``validate`` and ``import``: recorded sessions."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.output import console, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.session import ImportReport, SessionSummary, TableMapping
    from qpgaze.viewing import Display

session_argument = click.argument("session", type=click.Path(path_type=Path))


@click.command()
@session_argument
@json_option
def inspect(session: Path, as_json: bool) -> None:
    """Say what a recorded session holds.

    SESSION is a NAME.qpgaze folder.
    """
    from qpgaze.session import open_session, summarise

    summary = summarise(open_session(session, check_content=False))
    if as_json:
        emit_json("inspect", summary.to_json())
    else:
        _show_summary(session, summary)


def _show_summary(path: Path, s: SessionSummary) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [
        ("session", path.name),
        ("id", s.id),
        ("state", "closed" if s.closed else "not closed"),
        ("reader", s.pseudonym or "-"),
        ("tracker", s.tracker or "-"),
        ("started", s.started_utc or "-"),
        ("display", _display(s.display)),
        ("gaze", f"{s.samples} samples in {s.duration_s:.1f} s{_number(s.rate_hz, ', {:.1f} Hz')}"),
        ("", f"{s.valid:.1%} valid{_number(s.effective_hz, ', effective {:.1f} Hz')}"),
        ("", f"largest gap {_number(s.largest_gap_s * 1000, '{:.0f} ms') or '-'}"),
        ("accuracy", _accuracy(s)),
        ("clocks", _clocks(s)),
        ("views", _views(s)),
        *(
            (
                "image" if n == 0 else "",
                f"{i.name} ({i.width_px} x {i.height_px} px"
                + (f", entry {i.entry_id}" if i.entry_id else "")
                + ")",
            )
            for n, i in enumerate(s.images)
        ),
        ("events", _counts(s.events)),
        ("labels", _counts(s.labels) + (f", {s.undone} undone" if s.undone else "")),
        *(("note", note) for note in s.notes),
    ]
    for name, value in rows:
        # Text, not str: a name from a file may hold what rich takes for mark-up.
        table.add_row(name, Text(value))
    console().print(table)


def _number(value: float, text: str) -> str:
    """Return the text with the number in it, empty where it is none."""
    return text.format(value) if math.isfinite(value) else ""


def _display(display: Display) -> str:
    box = display.bounds_screen_px
    return (
        f"{box.width:g} x {box.height:g} px at {box.x:g}, {box.y:g}; "
        f"{display.width_mm:g} x {display.height_mm:g} mm; {display.distance_mm:g} mm away"
        + (f"; monitor {display.monitor}" if display.monitor else "")
    )


def _accuracy(s: SessionSummary) -> str:
    how = "assumed: no validation" if s.accuracy_assumed else "measured"
    return f"{s.accuracy_deg:.2f} deg, precision {s.precision_deg:.2f} deg ({how})"


def _clocks(s: SessionSummary) -> str:
    how = ", assumed: none were compared" if s.sync_assumed else ""
    return f"gaze and views agree within {s.sync_uncertainty_us / 1000:.1f} ms{how}"


def _views(s: SessionSummary) -> str:
    if not s.viewer_states:
        return "none"
    zoom = f", downsample {s.downsample[0]:.3g} to {s.downsample[1]:.3g}" if s.downsample else ""
    viewers = f" of {len(s.viewers)} viewers" if len(s.viewers) > 1 else ""
    return f"{s.viewer_states} states{viewers}, covering {s.covered:.1%} of the gaze{zoom}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"


@click.command()
@session_argument
@json_option
@click.pass_context
def validate(context: click.Context, session: Path, as_json: bool) -> None:
    """Find every problem in a recorded session.

    SESSION is a NAME.qpgaze folder. Exit status 1 where a problem was found. Nothing is changed.
    """
    from qpgaze.session import validate_session

    problems = validate_session(session)
    if as_json:
        emit_json(
            "validate",
            {"session": session.name, "problems": [p._asdict() for p in problems]},
        )
    elif problems:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("file", no_wrap=True)
        table.add_column("place")
        table.add_column("problem", overflow="fold")
        for problem in problems:
            table.add_row(*map(Text, problem))
        console().print(table)
    else:
        click.echo(f"{session.name}: no problems.")
    context.exit(1 if problems else 0)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@session_argument
@click.option(
    "--viewer",
    "viewer_log",
    required=True,
    type=click.Path(path_type=Path),
    help="The viewer log: one viewer state a line, as in a session's viewer.jsonl.",
)
@click.option(
    "--events",
    "events_log",
    type=click.Path(path_type=Path),
    help="Label keys and validations, as in a session's events.jsonl.",
)
@click.option("--mapping", "mapping_file", type=click.Path(path_type=Path), help="A JSON mapping.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="ROLE=NAME",
    help="What a column means, such as t=Time, left_x=GazeX. Repeat.",
)
@click.option("--unit", type=click.Choice(["ns", "us", "ms", "s"]), help="Of the time. [us]")
@click.option(
    "--frame",
    type=click.Choice(["adcs", "screen-px", "screen-centre-px"]),
    help="0..1 of the screen, or pixels from its top-left or its centre. [adcs]",
)
@click.option("--y-axis", type=click.Choice(["down", "up"]), help="Which way y grows. [down]")
@click.option("--validity", type=click.Choice(["flag", "tobii-0-4"]), help="1 is valid. [flag]")
@click.option("--missing", multiple=True, type=float, help="A coordinate that means none.")
@click.option("--decimal", type=click.Choice(["auto", ".", ","]), default="auto")
@click.option("--screen", metavar="WxH[+X+Y]", help="The tracker's screen on the desktop, px.")
@click.option("--screen-mm", metavar="WxH", help="Its size, mm.")
@click.option("--distance-mm", type=click.FloatRange(min=0, min_open=True), help="Eye to screen.")
@click.option("--offset-ms", type=float, default=0.0, help="Session time of the first sample.")
@click.option(
    "--keyframe-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="The viewer log repeats an unchanged view after this long.",
)
@click.option(
    "--sync-ms",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="How surely gaze and viewer log share a clock.",
)
@click.option("--pseudonym", default="", help="Who looked.")
@click.option("--tracker", help="Model of the eye tracker.")
@click.option("--started", default="", metavar="UTC", help="Date and time, ISO 8601.")
@json_option
def import_(file: Path, session: Path, as_json: bool, **options: Any) -> None:
    """Make a session from another recorder's table.

    FILE is separated text with one gaze sample a row; SESSION is the new NAME.qpgaze folder.
    Tables of Tobii TX300 (I2MC), the Tobii SDK, ETDQualitizer and Tobii Studio need no mapping.
    """
    from qpgaze.session import DisplayHints, ImportOptions, import_table
    from qpgaze.session.tables.geometry import parse_screen, parse_size

    screen, size = options["screen"], options["screen_mm"]
    hints = DisplayHints(
        bounds_screen_px=None if screen is None else parse_screen(screen),
        size_mm=None if size is None else parse_size(size),
        distance_mm=options["distance_mm"],
    )
    keyframe_ms = options["keyframe_ms"]
    how = ImportOptions(
        mapping=_mapping(options),
        y_axis=options["y_axis"],
        hints=hints,
        decimal=options["decimal"],
        offset_us=round(options["offset_ms"] * 1000),
        keyframe_us=None if keyframe_ms is None else round(keyframe_ms * 1000),
        sync_uncertainty_us=round(options["sync_ms"] * 1000),
        pseudonym=options["pseudonym"],
        tracker=options["tracker"],
        started_utc=options["started"],
    )
    report = import_table(
        file,
        session,
        viewer_log=options["viewer_log"],
        events_log=options["events_log"],
        options=how,
    )
    if as_json:
        from qpgaze.session.layout import display_to_json

        plain = {**asdict(report), "display": display_to_json(report.display)}
        emit_json("import", {**plain, "session": str(report.session)})
    else:
        _show_import(report)


def _mapping(options: dict[str, Any]) -> TableMapping | None:
    """Return the mapping that the options say, None where a recognised table is expected."""
    from qpgaze.errors import UsageError
    from qpgaze.session.tables.kinds import mapping_from, read_mapping

    columns = {}
    for pair in options["columns"]:
        role, sign, name = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"Expected --column ROLE=NAME such as t=Time, but {pair!r} came.")
        columns[role.strip()] = name.strip()
    said = {name: options[name] for name in ("unit", "frame", "validity")}
    said["missing"] = options["missing"] or None
    base = None if options["mapping_file"] is None else read_mapping(options["mapping_file"])
    if base is None and not columns:
        given = [f"--{name}" for name, value in said.items() if value is not None]
        if given:
            raise UsageError(
                f"{', '.join(given)} says how to read columns, but none is named.",
                hint="Name them: --column t=... --column x=... --column y=...",
            )
        return None
    if columns:
        said["columns"] = {**(base.columns if base else {}), **columns}
    return mapping_from({"y_axis": options["y_axis"], **said}, base)


def _show_import(report: ImportReport) -> None:
    click.echo(
        f"{report.session.name}: {report.samples} samples ({report.valid:.1%} valid), "
        f"{report.viewer_states} viewer states, {report.events} events; read as {report.kind}."
    )
    click.echo(f"display: {_display(report.display)}")
    for note in report.notes:
        click.echo(f"note: {note}")
