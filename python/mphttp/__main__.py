"""``python -m mphttp script.py …``: runs a program that knows nothing of this with its TCP sockets of another protocol."""

from __future__ import annotations

import argparse
import os
import runpy
import sys

from ._install import install
from ._words import Protocol

_EXAMPLES = """\
examples:
  python -m mphttp script.py --its-own options
  python -m mphttp -m http.server 8000
  python -m mphttp --protocol mptcp-only -c 'import urllib.request; …'

The program `mphttp` (get, serve, demo …) is another thing: run `mphttp --help`."""


def main() -> None:
    """Reads our own options up to the program's name, then becomes that program."""
    parser = argparse.ArgumentParser(
        prog="python -m mphttp",
        description="Run a Python program with Multipath TCP for all its TCP sockets, falling back to TCP.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--protocol",
        choices=[member.value for member in Protocol],
        help="the socket protocol (default: what MPHTTP_PROTOCOL says, else mptcp)",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-m", dest="module", metavar="MODULE", nargs=argparse.REMAINDER, help="run a module")
    what.add_argument(
        "-c", dest="command", metavar="CODE", nargs=argparse.REMAINDER, help="run a piece of code"
    )
    what.add_argument("script", nargs="?", metavar="SCRIPT", help="run a file")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="the program's own arguments"
    )
    options = parser.parse_args()
    try:
        install(options.protocol)
    except ValueError as error:
        parser.error(str(error))
    run: list[str] = options.module or options.command or [options.script]
    if not run[0]:
        parser.error("nothing to run")
    # As if this package were not there: sys.argv and sys.path are what the program expects.
    if options.module is not None:
        sys.path[0] = os.getcwd()
        sys.argv = run
        runpy.run_module(run[0], run_name="__main__", alter_sys=True)
    elif options.command is not None:
        sys.path[0] = ""
        sys.argv = ["-c", *run[1:]]
        exec(compile(run[0], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(options.script))
        sys.argv = [options.script, *options.arguments]
        runpy.run_path(options.script, run_name="__main__")


if __name__ == "__main__":
    main()
