"""``python -m mphttp script.py …``: runs a program that knows nothing of this with its TCP sockets of another protocol."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import types

from ._install import install
from ._words import Protocol

_EXAMPLES = """\
examples:
  python -m mphttp script.py --its-own options
  python -m mphttp -m http.server 8000
  python -m mphttp --protocol mptcp-only -c 'import urllib.request; …'

The program `mphttp` (get, serve, demo …) is another thing: run `mphttp --help`."""


def split(arguments: list[str]) -> tuple[list[str], str | None, list[str]]:
    """Our own options, ``-m`` or ``-c`` if it is a module or code that is to run, and the program with its arguments."""
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word[:2] in ("-m", "-c"):
            # As Python itself takes them: the name may be attached.
            attached = [word[2:]] if len(word) > 2 else []
            return arguments[:position], word[:2], attached + arguments[position + 1 :]
        if word == "--protocol":
            position += 2
        elif word.startswith("-"):
            position += 1
        else:
            break
    return arguments[:position], None, arguments[position:]


def main() -> None:
    """Reads our own options up to the program's name, then becomes that program."""
    parser = argparse.ArgumentParser(
        prog="python -m mphttp",
        usage="%(prog)s [-h] [--protocol PROTOCOL] (SCRIPT | -m MODULE | -c CODE) [ARGUMENT ...]",
        description="Run a Python program with Multipath TCP for all its TCP sockets, falling back to TCP.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--protocol",
        metavar="PROTOCOL",
        choices=[member.value for member in Protocol],
        help="tcp, mptcp or mptcp-only (default: what MPHTTP_PROTOCOL says, else mptcp)",
    )
    own, kind, program = split(sys.argv[1:])
    options = parser.parse_args(own)
    if not program:
        parser.error("there is nothing to run")
    try:
        install(options.protocol)
    except ValueError as error:
        parser.error(str(error))
    # As if this package were not there: sys.argv, sys.path and __main__ are what the program expects.
    safe = getattr(sys.flags, "safe_path", False)
    if kind == "-m":
        if not safe:
            sys.path[0] = os.getcwd()
        sys.argv = program
        runpy.run_module(program[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        if not safe:
            sys.path[0] = ""
        sys.argv = ["-c", *program[1:]]
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(program[0], "<string>", "exec"), module.__dict__)
    else:
        if not safe:
            sys.path[0] = os.path.dirname(os.path.abspath(program[0]))
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main()
