"""Run one program of this folder: ``python path/to/vendor NAME OPTIONS``."""

from __future__ import annotations

import importlib
import json
import sys
import traceback


def main(name: str, options: str) -> int:
    """Run a program until it ends; return its exit status."""
    # This folder, run as a program, is the first place where Python looks.
    module = importlib.import_module("pipe")
    pipe = module.Pipe()
    try:
        importlib.import_module(name).run(pipe, json.loads(options))
    except module.Trouble as trouble:
        pipe.write(trouble.message())
        return 1
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        pipe.write(module.Trouble("failed", f"The vendor's library failed. {text}").message())
        return 1
    pipe.write({"type": "bye"})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
