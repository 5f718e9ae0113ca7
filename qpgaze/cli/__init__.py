"""The command line: parse, call one function of the library, print.

Each verb family lives in a file of its own that is imported when its verb is used, so that
``qpgaze --help`` answers at once. Results go to stdout, progress and messages to stderr. Exit
status: 0 fine, 1 a check found problems, 2 wrong use or a failed operation.
"""

import sys


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:  # from here on Ctrl-C is a word and a status: it may come while the rest is loaded, too
        import io

        from qpgaze.cli.app import run

        # A name in a project or on a disk may hold what the terminal has no letter for, or half a
        # letter: it is written as an escape then (which JSON understands), and ends nothing.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("qpgaze: stopped.\n")
        sys.exit(130)


__all__ = ["main"]
