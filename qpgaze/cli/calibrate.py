"""``qpgaze calibrate`` and ``validate-gaze``: the eye tracker before a session."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.output import console, emit_json, json_option
from qpgaze.cli.source_options import channels_option, python_option

if TYPE_CHECKING:
    from qpgaze.recording.validation import ValidationResult
    from qpgaze.recording.validation.sitting import MonitorWish


def screen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say on which screen, and how many points."""
    for option in reversed(
        (
            click.option(
                "--points", type=click.Choice(["5", "9"]), default="5", show_default=True,
                help="How many points are shown.",
            ),
            click.option(
                "--monitor", metavar="N|ask",
                help="The tracker's screen: its number, or 'ask' to be shown the numbers. "
                "Otherwise the one chosen last, if nothing has changed.",
            ),
            click.option(
                "--size-mm", nargs=2, type=click.FloatRange(min=1), metavar="W H",
                help="Its lit area in millimetres, where the screen does not say.",
            ),
            click.option(
                "--scale", type=click.FloatRange(min=0.25, max=8),
                help="Physical pixels per QuPath pixel, where the system does not say.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.option(
    "--source",
    default="tobii",
    show_default=True,
    help="The tracker: tobii, or simulated (for practice).",
)
@python_option
@screen_options
@json_option
def calibrate(
    source: str,
    python: str | None,
    points: str,
    monitor: str | None,
    size_mm: tuple[float, float] | None,
    scale: float | None,
    as_json: bool,
) -> None:
    """Calibrate the eye tracker on its screen.

    The points are shown full screen; the tracker computes. Esc cancels, and the
    tracker keeps the calibration it had.
    """
    from qpgaze.recording.validation.calibrators import open_calibrator
    from qpgaze.recording.validation.sitting import calibrate_on_screen

    wish = _wish(monitor, size_mm, scale)
    calibrator = open_calibrator(source, python=python)
    try:
        outcome, run = calibrate_on_screen(
            calibrator,
            points=int(points),
            seed=secrets.randbelow(2**32),
            wish=wish,
            note=_practice(source),
        )
    finally:
        calibrator.close()
    if as_json:
        emit_json(
            "calibrate",
            {
                "tracker": calibrator.name,
                "points": int(points),
                "left_out": [list(target) for target in run.uncollected],
                "detail": outcome.detail,
            },
        )
    else:
        console().print("\n".join(run.closing_lines()), markup=False)


@click.command("validate-gaze")
@click.option(
    "--session",
    type=click.Path(path_type=Path),
    help="Also store the result with this closed session.",
)
@click.option(
    "--source",
    default="tobii",
    show_default=True,
    metavar="SPEC",
    help="Where gaze comes from; simulated: eyes of known error, for practice.",
)
@channels_option
@python_option
@screen_options
@json_option
@click.pass_context
def validate_gaze(
    context: click.Context,
    session: Path | None,
    source: str,
    channels: tuple[str, ...],
    python: str | None,
    points: str,
    monitor: str | None,
    size_mm: tuple[float, float] | None,
    scale: float | None,
    as_json: bool,
) -> None:
    """Measure how well the eye tracker measures.

    Points are shown full screen; the reader looks at each. The result is kept for
    the next session (not that of simulated eyes), and says how far labels may be
    off. Exit status 1 where it is poor. Esc cancels.
    """
    from qpgaze.recording.validation.sitting import validate_on_screen
    from qpgaze.recording.validation.sources import open_for_targets

    wish = _wish(monitor, size_mm, scale)
    if session is not None:
        _require_closed(session)
    result, last = validate_on_screen(
        lambda display: open_for_targets(source, display, channels=channels, python=python),
        points=int(points),
        seed=secrets.randbelow(2**32),
        wish=wish,
        note=_practice(source),
        remember=not _practice(source),
    )
    if session is not None:
        from qpgaze.session import add_event

        add_event(session, "validation", last.event().data)
    if as_json:
        emit_json("validate-gaze", {**last.event().data, "session": session and session.name})
    else:
        _show(result)
    context.exit(1 if result.verdict == "poor" else 0)


def _wish(
    monitor: str | None, size_mm: tuple[float, float] | None, scale: float | None
) -> MonitorWish:
    from qpgaze.recording.validation.sitting import ASK, MonitorWish

    if monitor is None or (monitor.isdecimal() and int(monitor) > 0):
        number = None if monitor is None else int(monitor)
    elif monitor == "ask":
        number = ASK
    else:
        raise click.BadParameter(
            f"expected a number from 1, or 'ask', but {monitor!r} came.", param_hint="--monitor"
        )
    return MonitorWish(number, size_mm or None, scale)


def _require_closed(session: Path) -> None:
    """Refuse before the reader has sat through the points, not after."""
    from qpgaze.errors import SessionError
    from qpgaze.session import open_session

    if not open_session(session, check_content=False).closed:
        raise SessionError(
            f"The session '{session.name}' is not closed.",
            hint="End its recording first; the result of a validation before it is kept anyway.",
        )


def _practice(source: str) -> str:
    simulated = source.partition(":")[0] == "simulated"
    return "Practice: the eyes are simulated, and nothing is kept." if simulated else ""


def _show(result: ValidationResult) -> None:
    """Print the sentences, and a table of the points."""
    from rich.table import Table

    out = console()
    first, *rest = result.lines()
    out.print(first, markup=False, style="bold")
    out.print("\n".join(rest), markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("point", "off, deg", "scatter, deg", "lost", "left, deg", "right, deg"):
        table.add_column(name, justify="right")
    for target in result.quality.targets:
        missed = (target.x_adcs, target.y_adcs) in result.missed
        table.add_row(
            f"{target.x_adcs:.2f}, {target.y_adcs:.2f}{' (missed)' if missed else ''}",
            _number(target.mean.accuracy_deg),
            _number(target.mean.precision_sd_deg),
            f"{target.mean.loss:.1%}",
            _number(target.left.accuracy_deg),
            _number(target.right.accuracy_deg),
        )
    out.print(table)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"
