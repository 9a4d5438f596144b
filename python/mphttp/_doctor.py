"""The doctor: why MPTCP, or its second path, does not work, and what mends it. The looking is Rust's."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from . import _mphttp
from ._download import PathLike


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be. ``docs/doctor.md`` describes every code."""

    #: A stable word, such as ``"no-endpoints"``.
    code: str
    #: Which interface, address or server it is about.
    subject: str | None
    #: ``"note"``, ``"warning"`` or ``"broken"``.
    severity: str
    #: ``"possible"``, ``"likely"`` or ``"proven"``.
    certainty: str
    #: What was found.
    what: str
    #: Why it matters.
    why: str
    #: Where it is to be mended: ``"here"``, ``"peer"`` or ``"network"``.
    place: str
    #: The commands that mend it, for a shell there.
    commands: tuple[str, ...]
    #: The commands that take that back.
    undo: tuple[str, ...]
    #: Whether ``mphttp doctor --fix`` does it.
    safe: bool
    #: What else to know or to do.
    advice: str | None


@dataclasses.dataclass(frozen=True)
class PathShare:
    """What a path carried."""

    #: The interface that holds the local address.
    interface: str | None
    #: The local address.
    local: str | None
    #: The remote address and port, as text.
    remote: str | None
    #: Payload bytes received.
    bytes_received: int
    #: Payload bytes sent.
    bytes_sent: int
    #: The share of what all paths received, 0 to 1.
    share: float


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A transfer over all paths."""

    #: Host and port, redirects followed.
    server: str
    #: The address and port that answered, as text.
    remote: str | None
    #: The proxy of the environment, if one is used.
    proxy: str | None
    #: The answer's ``Via`` header.
    via: str | None
    #: What the connection came to: ``"mptcp"``, else why not; ``None`` if the kernel can't say.
    outcome: str | None
    #: Bytes of bodies received.
    bytes: int
    #: How long that took, connecting left out.
    seconds: float
    #: What each path carried.
    paths: tuple[PathShare, ...]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A request through one interface alone."""

    #: The interface.
    interface: str
    #: What it came to, as for the transfer.
    outcome: str
    #: Why nothing came of it; ``None`` if something did.
    error: str | None


@dataclasses.dataclass(frozen=True)
class Unseen:
    """What could not be seen."""

    #: What.
    what: str
    #: Why not.
    why: str


@dataclasses.dataclass(frozen=True)
class Examination:
    """What the doctor has to say."""

    #: ``"well"``, ``"findings"`` (MPTCP works, but not as well as it could) or ``"no-mptcp"``.
    verdict: str
    #: What is wrong, the worst first.
    findings: tuple[Finding, ...]
    #: The transfer from the URL; ``None`` without one.
    transfer: Transfer | None
    #: A request through each interface alone; none without a URL, or with one interface.
    probes: tuple[Probe, ...]
    #: What could not be seen.
    unseen: tuple[Unseen, ...]

    @property
    def works(self) -> bool:
        """Whether MPTCP works."""
        return self.verdict != "no-mptcp"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, in the shape that ``mphttp doctor --json`` has."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


def doctor(
    url: str | None = None,
    *,
    server: bool = False,
    cafile: PathLike | None = None,
    verify: bool = True,
) -> Examination:
    """Says why MPTCP, or its second path, does not work on this host, and what mends it. Changes nothing.

    It needs no privilege. With a URL it takes a transfer of up to 16 MB or 5 seconds over all paths, and a request
    through each interface alone; without one, milliseconds.

    :param url: what to fetch, best a file of some megabytes.
    :param server: judge this host as one that takes connections.
    :param cafile: certificates (PEM) to trust as well as the system's.
    :param verify: whether to check the server's certificate.
    :raises OSError: for a name that can't be resolved and TLS that fails; a server that doesn't answer is a finding.
    :raises ValueError: for a URL that can't be requested.
    """
    told = json.loads(_mphttp.doctor(url, server, None if cafile is None else os.fsdecode(cafile), verify))
    transfer = told["transfer"]
    if transfer is not None:
        paths = tuple(PathShare(**path) for path in transfer.pop("paths"))
        transfer = Transfer(**transfer, paths=paths)
    return Examination(
        verdict=told["verdict"],
        findings=tuple(_finding(finding) for finding in told["findings"]),
        transfer=transfer,
        probes=tuple(Probe(**probe) for probe in told["probes"]),
        unseen=tuple(Unseen(**unseen) for unseen in told["unseen"]),
    )


def _finding(told: dict[str, Any]) -> Finding:
    commands, undo = tuple(told.pop("commands")), tuple(told.pop("undo"))
    return Finding(**told, commands=commands, undo=undo)
