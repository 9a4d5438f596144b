"""Runs CPython's own test suites for what this package derives from, with its classes in place of the standard ones.

Run by the lab's harness, in a network namespace of its own::

    python standard_library.py --classes stock|mphttp [--forbid-mptcp]

Prints one JSON object: for each suite the names of the tests that passed, failed and were skipped.

Outsiders see our classes, the standard modules themselves go on with theirs: ``http.client`` calls
``super(HTTPSConnection, self)`` through its own global, which must stay what it is.
"""

from __future__ import annotations

import argparse
import ctypes
import http.client
import http.server
import importlib
import json
import platform
import socketserver
import struct
import subprocess
import sys
import types
import unittest
from typing import Any

SUITES = [
    "test_httplib",
    "test_httpservers",
    "test_socketserver",
    "test_urllib2_localnet",
    "test_xmlrpc",
    "test_docxmlrpc",
    "test_wsgiref",
]


class Swapped(types.ModuleType):
    """A module as outsiders see it: some names ours, the rest its own."""

    def __init__(self, real: types.ModuleType, ours: types.ModuleType) -> None:
        super().__init__(real.__name__, real.__doc__)
        names = [name for name, value in vars(ours).items() if isinstance(value, type)]
        mine = {name: getattr(ours, name) for name in names if getattr(real, name, None) is not None}
        for value in mine.values():
            # The suites ask whether a module's public names are those that say they are of it.
            if value.__module__ == ours.__name__:
                value.__module__ = real.__name__
        self.__dict__.update(_real=real, _mine=mine, __all__=real.__all__, __file__=real.__file__)

    def __getattr__(self, name: str) -> Any:
        mine = self.__dict__["_mine"]
        return mine[name] if name in mine else getattr(self.__dict__["_real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What a test patches, it patches for the module itself.
        if name in self.__dict__["_mine"]:
            self.__dict__["_mine"][name] = value
        else:
            setattr(self.__dict__["_real"], name, value)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_real"])

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__["_real"], name)


def swap() -> None:
    import mphttp.client
    import mphttp.server
    import mphttp.socketserver

    pairs = [
        (http.client, mphttp.client),
        (http.server, mphttp.server),
        (socketserver, mphttp.socketserver),
    ]
    for real, ours in pairs:
        swapped = Swapped(real, ours)
        assert swapped._mine, real.__name__
        sys.modules[real.__name__] = swapped
        if real.__name__.startswith("http."):
            setattr(sys.modules["http"], real.__name__.removeprefix("http."), swapped)
    # What stands on them is imported anew, and finds ours.
    for name in ("urllib.request", "xmlrpc.client", "xmlrpc.server", "wsgiref.simple_server"):
        sys.modules.pop(name, None)
    import urllib.request
    import xmlrpc.server

    assert urllib.request.http.client.HTTPConnection is mphttp.client.HTTPConnection
    assert issubclass(xmlrpc.server.SimpleXMLRPCServer, mphttp.socketserver.TCPServer)


def forbid_mptcp() -> None:
    """From now on, who makes an MPTCP socket is killed: a seccomp filter, which children inherit."""
    number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    # struct seccomp_data: the number at 0, the arguments from 16 on, 8 bytes each; the protocol is the third.
    load, equal, give = 0x20, 0x15, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    program = [
        (load, 0, 0, 0),
        (equal, 0, 3, number),
        (load, 0, 0, 32),
        (equal, 0, 1, 262),
        (give, 0, 0, kill),
        (give, 0, 0, allow),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    fprog = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_no_new_privs, pr_set_seccomp, mode_filter = 38, 22, 2
    for arguments in ((pr_set_no_new_privs, 1, 0, 0, 0), (pr_set_seccomp, mode_filter, fprog)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


class Result(unittest.TestResult):
    """Names instead of counts: a test lost is not made up for by another won."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.ran.append(test.id())


def run(name: str) -> dict[str, Any]:
    result = Result()
    result.buffer = True
    module = importlib.import_module(f"test.{name}")
    loader = unittest.defaultTestLoader
    # Suites that are put together by a function of their own also set up what they need there.
    loader.loadTestsFromModule(module).run(result)
    failed = {test.id(): text for test, text in [*result.failures, *result.errors]}
    failed.update({test.id(): "unexpected success" for test in result.unexpectedSuccesses})
    # A subtest's id begins with its test's.
    bad = tuple(failed)
    skipped = [test.id() for test, _ in result.skipped]
    passed = [
        test
        for test in result.ran
        if test not in skipped and not any(b.split(" ")[0] == test or b == test for b in bad)
    ]
    return {"passed": passed, "failed": failed, "skipped": skipped}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classes", choices=["stock", "mphttp"], required=True)
    parser.add_argument("--forbid-mptcp", action="store_true")
    parser.add_argument(
        "--suite", choices=SUITES, help="run this one here; else each in a process of its own"
    )
    options = parser.parse_args()
    if options.suite:
        if options.classes == "mphttp":
            swap()
        print(json.dumps(run(options.suite)))
        return
    if options.forbid_mptcp:
        forbid_mptcp()
    results = {}
    for suite in SUITES:
        command = [sys.executable, __file__, "--classes", options.classes, "--suite", suite]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            results[suite] = {
                "passed": [],
                "failed": {suite: f"ended with {done.returncode}: {done.stderr[-4000:]}"},
                "skipped": [],
            }
        else:
            results[suite] = json.loads(lines[-1])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
