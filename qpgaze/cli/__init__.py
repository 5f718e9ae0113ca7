"""The command line: parse, call one function of the library, print.

Each verb family lives in a file of its own that is imported when its verb is used, so that
``qpgaze --help`` answers at once. Results go to stdout, progress and messages to stderr. Exit
status: 0 fine, 1 a check found problems, 2 wrong use or a failed operation.
"""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:
        # Here and not above: Ctrl-C may come while this is loaded, too.
        from qpgaze.cli.app import run
    except KeyboardInterrupt:
        sys.stderr.write("qpgaze: stopped before it began.\n")
        sys.exit(130)
    # A name in a project or on a disk may hold what the terminal has no letter for, or half a
    # letter: it is written as an escape then (which JSON understands), and ends nothing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


__all__ = ["main"]
