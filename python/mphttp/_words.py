"""The choice of protocol and the reasons for plain TCP, as words: the same in Rust, on the command line and here."""

from __future__ import annotations

import enum
from typing import TypeAlias

from . import _mphttp

IPPROTO_TCP = 6
IPPROTO_MPTCP = 262


class Protocol(str, enum.Enum):
    """The socket protocol that is asked for. Each is its word: ``Protocol.MPTCP == "mptcp"``."""

    #: Plain TCP, as ever: no MPTCP socket is made, not even to probe.
    TCP = "tcp"
    #: Multipath TCP (RFC 8684) where host, path and peer can; else TCP, with the reason on record.
    MPTCP = "mptcp"
    #: Multipath TCP, or :class:`mphttp.NotMptcpError`. Servers turn TCP clients away.
    MPTCP_ONLY = "mptcp-only"

    def __str__(self) -> str:
        # Up to Python 3.10 a member prints as "Protocol.TCP", from 3.12 on as its word, and in between as either.
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    @classmethod
    def of(cls, choice: ProtocolLike) -> Protocol:
        """The protocol that a choice stands for.

        A member, its word (in any case, ``mptcp_only`` too), ``socket.IPPROTO_TCP``, ``socket.IPPROTO_MPTCP``, or
        ``None`` for the default of this process: what the environment variable ``MPHTTP_PROTOCOL`` says, else MPTCP.

        :raises ValueError: for anything else.
        """
        if isinstance(choice, str):
            # Members are their words, and most choices are one or the other.
            member = _MEMBERS.get(choice)
            return member if member is not None else cls(_mphttp.parse_protocol(choice))
        if choice is None:
            return cls(_mphttp.default_protocol())
        if choice == IPPROTO_TCP and not isinstance(choice, bool):
            return cls.TCP
        if choice == IPPROTO_MPTCP:
            return cls.MPTCP
        raise ValueError(f"unknown protocol {choice!r}: use tcp, mptcp, mptcp-only or socket.IPPROTO_*")


_MEMBERS: dict[str, Protocol] = {member.value: member for member in Protocol}

#: What names a protocol: see :meth:`Protocol.of`.
ProtocolLike: TypeAlias = Protocol | str | int | None


class Reason(str, enum.Enum):
    """Why a connection speaks plain TCP. Each is its word: ``Reason.DISABLED == "disabled"``."""

    #: This side asked for TCP.
    NOT_REQUESTED = "not-requested"
    #: The platform has no MPTCP.
    PLATFORM = "platform"
    #: Linux before 5.6.
    KERNEL_TOO_OLD = "kernel-too-old"
    #: A kernel without CONFIG_MPTCP.
    NOT_BUILT = "not-built"
    #: The sysctl net.mptcp.enabled is 0.
    DISABLED = "disabled"
    #: A policy (SELinux, seccomp, eBPF) forbids MPTCP sockets.
    DENIED = "denied"
    #: The peer, or a box on the way, answered without MPTCP.
    PEER_OR_PATH = "peer-or-path"
    #: Seen by a server: the client asked for TCP.
    CLIENT = "client"
    #: SYNs with MPTCP got no answer, a plain one did.
    SYN_DROPPED = "syn-dropped"
    #: SYNs with MPTCP were answered with a reset, a plain one was not.
    SYN_RESET = "syn-reset"
    #: The kernel has switched MPTCP off for the whole host for a while.
    HOST_BLACKHOLE = "host-blackhole"
    #: The connection began with MPTCP and fell back.
    FELL_BACK = "fell-back"
    #: A TCP socket of which nothing else is known.
    TCP_SOCKET = "tcp-socket"
    #: This kernel can't tell.
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    @property
    def explanation(self) -> str:
        """What it means, as a clause for people."""
        return _mphttp.explain(self.value)

    @property
    def remedy(self) -> str | None:
        """What to do about it, if anything can be done."""
        return _mphttp.remedy(self.value)
