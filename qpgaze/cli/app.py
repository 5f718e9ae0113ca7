"""The root command: which verbs there are, and what becomes of an error."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple

import click

import qpgaze


class Verb(NamedTuple):
    """Where a verb lives and the line that ``qpgaze --help`` shows for it."""

    module: str
    attribute: str
    summary: str


VERBS: dict[str, Verb] = {
    "demo": Verb("demo", "demo", "Run everything once on a sample, and draw a picture of it."),
    "monitor": Verb(
        "monitor", "monitor", "Say which monitor carries the eye tracker, or choose it."
    ),
    "calibrate": Verb("calibrate", "calibrate", "Calibrate the eye tracker on its screen."),
    "validate-gaze": Verb(
        "calibrate", "validate_gaze", "Measure how well the eye tracker measures."
    ),
    "record": Verb("record", "record", "Record gaze and QuPath's views into a session."),
    "annotate": Verb("annotate", "annotate", "Put gaze-made objects into a project's images."),
    "refine": Verb("refine", "refine", "Turn coarse gaze labels into good boxes."),
    "export": Verb("export", "export", "Turn a project into tiles with labels (COCO)."),
    "project": Verb("project", "project", "Create, fill, show and export QuPath projects."),
    "inspect": Verb("session", "inspect", "Say what a recorded session holds."),
    "validate": Verb("session", "validate", "Find every problem in a recorded session."),
    "import": Verb("session", "import_", "Make a session from another recorder's table."),
    "session": Verb("record", "session", "Mend recorded sessions."),
    "doctor": Verb("doctor", "doctor", "Explain what recording still needs, and how to get it."),
    "install-hook": Verb("hook", "install_hook", "Put the qpgaze menu into QuPath, or renew it."),
    "sample": Verb("sample", "sample", "Rebuild the sample slides, truth and sessions."),
}


class LazyGroup(click.Group):
    """A group that imports a verb's module only when that verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the verbs in the order of the way of the data."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the verb, None where there is no such verb."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = importlib.import_module(f"qpgaze.cli.{verb.module}")
        command: click.Command = getattr(module, verb.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
@click.version_option(qpgaze.__version__, prog_name="qpgaze")
@click.pass_context
def app(context: click.Context, debug: bool) -> None:
    """Label whole slides by looking at them.

    Eye gaze over QuPath becomes QuPath annotations, refined boxes, and COCO data sets.
    """
    context.obj = {"debug": debug}


def run(arguments: Sequence[str]) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        Exit status: 0 fine, 1 a check found problems, 2 wrong use or a failed operation, 130
        after Ctrl-C.
    """
    arguments = list(arguments)
    debug = "--debug" in arguments
    try:
        status = app.main(arguments, prog_name="qpgaze", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return int(leave.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("qpgaze: stopped. Nothing half written was left behind.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except qpgaze.QpgazeError as error:
        if debug:
            raise
        click.echo(f"qpgaze: {error}", err=True)
        return 2
    except OSError as error:
        if debug:
            raise
        click.echo(f"qpgaze: {_os_error_in_words(error)}", err=True)
        return 2
    return int(status) if isinstance(status, int) else 0


def _os_error_in_words(error: OSError) -> str:
    """Say what the system refused, and for which file."""
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}."
