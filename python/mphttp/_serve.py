"""``python -m mphttp.server``: this Python's own ``python -m http.server``, its sockets ours.

What the options are and do is the standard library's business, and differs from version to version; so its main program
itself is run, with ``socketserver.TCPServer`` exchanged and three options more.
"""

from __future__ import annotations

import argparse
import runpy
import socketserver
import sys
import warnings
from typing import Any

from ._errors import NotMptcpError
from ._words import Protocol
from .socketserver import Choice, TCPServer

_CHOICES: list[tuple[str, Choice, str]] = [
    (
        "--mptcp",
        True,
        "listen with Multipath TCP, and serve TCP clients as well (default, unless MPHTTP_PROTOCOL says else)",
    ),
    ("--no-mptcp", False, "listen with plain TCP"),
    ("--mptcp-only", Protocol.MPTCP_ONLY, "listen with Multipath TCP, and turn TCP clients away"),
]


class _Server(TCPServer):
    """The server below those of ``http.server``, which says on stderr whether MPTCP is on."""

    def server_activate(self) -> None:
        super().server_activate()
        if self.why_tcp is None:
            tail = "turned away" if self.mptcp is Protocol.MPTCP_ONLY else "served as well"
            print(f"MPTCP is on; TCP clients are {tail}.", file=sys.stderr)
        else:
            remedy = f" ({self.why_tcp.remedy})" if self.why_tcp.remedy else ""
            print(f"MPTCP is off: {self.why_tcp.explanation}{remedy}.", file=sys.stderr)


def _with_choices(parse_args: Any) -> Any:
    """``ArgumentParser.parse_args`` with our options beside those it has; the choice goes to the server class."""

    def parse(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        self.prog = "python -m mphttp.server"
        group = self.add_mutually_exclusive_group()
        for option, value, text in _CHOICES:
            group.add_argument(option, dest="mptcp", action="store_const", const=value, help=text)
        options = parse_args(self, *args, **kwargs)
        _Server.mptcp = options.mptcp
        del options.mptcp
        return options

    return parse


def main() -> int:
    """Runs the main program of ``http.server`` with the arguments of this process."""
    # The method, not the class: argparse names its class in its own code.
    saved = argparse.ArgumentParser.parse_args, socketserver.TCPServer
    argparse.ArgumentParser.parse_args = _with_choices(saved[0])  # type: ignore[method-assign]
    socketserver.TCPServer = _Server  # type: ignore[misc]
    try:
        with warnings.catch_warnings():
            # That the module has been imported already; it is run anew on purpose.
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
            runpy.run_module("http.server", run_name="__main__", alter_sys=True)
    except (NotMptcpError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        argparse.ArgumentParser.parse_args, socketserver.TCPServer = saved  # type: ignore[method-assign, misc]
    return 0
