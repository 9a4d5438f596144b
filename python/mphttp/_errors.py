"""What can go wrong beyond what the standard library has exceptions for. All are ``OSError``, as all trouble with
connections is."""

from __future__ import annotations

import errno

from ._words import Reason


class NotMptcpError(OSError):
    """``mptcp-only`` was asked for, and the host can't, or the connection that was made speaks TCP."""

    #: Why it is TCP.
    reason: Reason

    def __init__(self, number: int, text: str, reason: str) -> None:
        super().__init__(number, text)
        self.reason = Reason(reason)

    def __reduce__(self) -> tuple[type[NotMptcpError], tuple[object, ...]]:
        return type(self), (self.errno, self.strerror, self.reason.value)


class FellBackError(ConnectionError):
    """A connection fell back from MPTCP to TCP while it carried data.

    From there on the kernel may deliver bytes twice (seen on Linux 6.18): what has come can't be trusted. Start again
    with the protocol ``tcp``, over another network, or over TLS, which notices by itself.
    """

    def __init__(self) -> None:
        super().__init__(
            errno.EPROTO,
            "the connection began with Multipath TCP and fell back under way, for a box on the way removes its "
            "options; since then bytes may arrive twice: start again with the protocol tcp, or over another network",
        )

    def __reduce__(self) -> tuple[type[FellBackError], tuple[()]]:
        return type(self), ()


class DownloadError(OSError):
    """A download failed for a reason that the standard library has no exception for."""


class DownloadTimeout(DownloadError, TimeoutError):
    """A time limit passed, or nothing came for too long; ``__cause__`` is then the latest failure."""


class ChecksumError(DownloadError):
    """The body is not the one that its checksum, or the server's digest of it, names. There is no file."""


class StatusError(DownloadError):
    """The server answered with a status that is no success."""

    #: The status.
    status: int
    #: The URL that answered.
    url: str

    def __init__(self, text: str, status: int, url: str) -> None:
        super().__init__(text)
        self.status = status
        self.url = url

    def __reduce__(self) -> tuple[type[StatusError], tuple[object, ...]]:
        return type(self), (str(self), self.status, self.url)
