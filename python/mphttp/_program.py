"""The program ``mphttp``, as the command of this package: the same as that of the Rust crate."""

from __future__ import annotations

import os
import signal
import sys

from . import _mphttp


def main() -> int:
    """Runs the program with the arguments of this process and gives its exit code."""
    # Python's own handler only notes the signal for the interpreter, which does not run while the program does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _mphttp.run_program([os.path.basename(sys.argv[0]), *sys.argv[1:]])
