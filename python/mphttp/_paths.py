"""Which addresses of this host Multipath TCP uses, and what they stand on: what ``mphttp paths`` shows."""

from __future__ import annotations

import json
from typing import TypedDict, cast

from . import _mphttp


class EndpointFlags(TypedDict):
    """What an endpoint is used for."""

    #: Connections open a path from here.
    subflow: bool
    #: Peers are told of this address.
    signal: bool
    #: Its paths carry data only when no other can.
    backup: bool
    #: Paths lead from here to every address of the peer.
    fullmesh: bool
    #: Made by the kernel itself.
    implicit: bool
    #: Announced addresses are answered from here.
    laminar: bool


class Endpoint(TypedDict):
    """An address that connections may use."""

    address: str
    #: The port that is announced, if there is one.
    port: int | None
    id: int | None
    #: The index of the interface that its paths are bound to.
    interface: int | None
    flags: EndpointFlags


class Limits(TypedDict):
    """How much the kernel does for each connection."""

    #: Paths besides the first.
    subflows: int
    #: Addresses of the peer that are made use of.
    add_addr_accepted: int


class Address(TypedDict):
    """An address of an interface."""

    address: str
    prefix_length: int
    #: The other end of a point-to-point interface.
    peer: str | None
    #: ``global``, ``site``, ``link``, ``host``, or a number of the administrator's own.
    scope: str | dict[str, int]
    temporary: bool
    tentative: bool
    deprecated: bool
    duplicate: bool
    secondary: bool


class Interface(TypedDict):
    """An interface of this host."""

    index: int
    name: str
    loopback: bool
    up: bool
    carrier: bool
    #: ``up``, ``down``, ``dormant``, ``unknown`` and others (RFC 2863).
    state: str
    mtu: int | None
    #: ``veth``, ``wireguard`` …; ``None`` for hardware.
    kind: str | None
    #: The index of the bridge or bond that it belongs to.
    controller: int | None
    #: 0 no filter of reverse paths, 1 a strict one, 2 a loose one.
    rp_filter: int | None
    addresses: list[Address]


class Hop(TypedDict):
    """One of the ways a route takes."""

    interface: int | None
    gateway: str | None
    #: Whether nothing gets through: the interface is down or without a carrier.
    dead: bool
    #: Whether the kernel passes it by: it is down, or told to ignore routes without a carrier.
    passed_by: bool
    #: Whether the gateway is taken to be on the link, whatever the subnets say.
    onlink: bool


class Route(TypedDict):
    """A default route."""

    #: The number of its table; that of the main one is 254.
    table: int
    kind: str | dict[str, int]
    destination: str
    source: str | None
    hops: list[Hop]
    preferred_source: str | None
    metric: int
    protocol: int


class Paths(TypedDict):
    """What :func:`paths` returns."""

    #: ``kernel``, ``userspace``, or the name of another; ``None`` without MPTCP.
    manager: str | dict[str, str] | None
    #: ``None`` if they could not be read, as the endpoints; ``problems`` says why.
    limits: Limits | None
    endpoints: list[Endpoint] | None
    interfaces: list[Interface]
    default_routes: list[Route]
    #: The routing rules, as ``mphttp paths --json`` has them.
    rules: list[dict[str, object]]
    #: The sysctls ``net.mptcp.*``; those that the kernel doesn't have are ``None``.
    settings: dict[str, object]
    problems: list[str]


def paths() -> Paths:
    """The endpoints, limits and path manager of this host, and its interfaces with their addresses and default routes.

    The same as ``mphttp paths --json`` prints. Everyone may read it.

    :raises OSError: where there is no Linux, or netlink is forbidden.
    """
    return cast(Paths, json.loads(_mphttp.paths()))
