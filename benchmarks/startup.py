"""What it costs to start: ``import qpgaze`` and ``qpgaze --help`` against a quarter CPU second.

Run ``python benchmarks/startup.py``. Each is a fresh process; the bare interpreter stands beside
them, so that what is ours can be told from what is Python's.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

MOST_CPU_S = 0.25
COMMANDS = {
    "bare interpreter": "pass",
    "import qpgaze": "import qpgaze",
    "qpgaze --help": "from qpgaze.cli.app import run; run(['--help'])",
    "qpgaze annotate --help": "from qpgaze.cli.app import run; run(['annotate', '--help'])",
}


def cpu_s(code: str) -> float:
    """Return user and system seconds of a fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the median of eleven runs each, and its ratio to the limit."""
    for name, code in COMMANDS.items():
        cpu_s(code)
        median = statistics.median(cpu_s(code) for _ in range(11))
        print(f"{name:24} {median:.3f} s CPU, {median / MOST_CPU_S:.2f} of the limit")


if __name__ == "__main__":
    main()
