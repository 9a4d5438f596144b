"""HTTP in which the socket protocol is a choice: plain TCP, Multipath TCP with fallback, or Multipath TCP or nothing.

- :mod:`mphttp.client`, :mod:`mphttp.request`, :mod:`mphttp.xmlrpc`: the standard library's clients, with ``protocol=``;
- :mod:`mphttp.server`, :mod:`mphttp.socketserver`: its servers, with ``mptcp=``;
- :mod:`mphttp.socket`, :mod:`mphttp.asyncio`: sockets for everything else;
- :mod:`mphttp.requests`, :mod:`mphttp.urllib3`, :mod:`mphttp.httpx`, :mod:`mphttp.aiohttp`, :mod:`mphttp.niquests`: other
  clients, each of which must be installed by itself;
- :func:`download`: a body over every link, and through the loss of any;
- :func:`doctor`: why there is no MPTCP, or only one path, and what mends it;
- :func:`paths`: which addresses of this host MPTCP uses, and what they stand on;
- :func:`install`, or ``python -m mphttp script.py``: for programs that know nothing of this.

:func:`transport` says what a connected socket really speaks, why, and over which paths. Importing this package imports
none of the modules above.
"""

from __future__ import annotations

import atexit as _atexit
import os as _os

from . import _mphttp
from ._ask import host_support, transport
from ._doctor import Examination, Finding, PathShare, Probe, Transfer, Unseen, doctor
from ._download import Downloaded, Leftover, Progress, download, leftover
from ._errors import (
    ChecksumError,
    DownloadError,
    DownloadTimeout,
    FellBackError,
    NotMptcpError,
    StatusError,
)
from ._install import install, installed, uninstall
from ._mphttp import Path, Transport
from ._paths import paths
from ._words import Protocol, ProtocolLike, Reason

__version__ = _mphttp.version()

__all__ = [
    "ChecksumError",
    "DownloadError",
    "DownloadTimeout",
    "Downloaded",
    "Examination",
    "FellBackError",
    "Finding",
    "Leftover",
    "NotMptcpError",
    "Path",
    "PathShare",
    "Probe",
    "Progress",
    "Protocol",
    "ProtocolLike",
    "Reason",
    "StatusError",
    "Transfer",
    "Transport",
    "Unseen",
    "__version__",
    "doctor",
    "download",
    "host_support",
    "install",
    "installed",
    "leftover",
    "paths",
    "transport",
    "uninstall",
]

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_mphttp.after_fork_in_child)

# Before the interpreter goes: Rust's thread must not come back to one that is half gone.
_atexit.register(_mphttp.shutdown)
