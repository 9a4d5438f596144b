"""niquests, in an environment of its own: its urllib3-future takes the place of urllib3."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

import niquests
from conftest import BIG, Site
from mphttp import NotMptcpError, Reason
from mphttp.niquests import Resolver, Session, transport


@pytest.mark.parametrize("protocol", ["tcp", "mptcp", "mptcp-only"])
def test_both_ends_say_what_is_spoken(protocol: str, site: Site) -> None:
    with Session(protocol=protocol) as session:
        response = session.get(f"{site.url}/transport", stream=True)
        seen = transport(response)
        assert seen is not None
        assert response.json()["protocol"] == protocol.removesuffix("-only") == seen.protocol


def test_tls_and_a_large_body(tls: Any, tls_site: Site, site: Site) -> None:
    with niquests.Session(resolver=Resolver(protocol="mptcp")) as session:
        response = session.get(f"{tls_site.url}/transport", verify=str(tls.authority))
        assert response.json()["protocol"] == "mptcp"
        assert session.get(f"{site.url}/{BIG}").content == b"x" * BIG


def test_it_falls_back_with_the_reason(tcp_site: Site) -> None:
    with Session(protocol="mptcp") as session:
        response = session.get(f"{tcp_site.url}/transport", stream=True)
        seen = transport(response)
        assert seen is not None and seen.reason is Reason.PEER_OR_PATH
        assert json.loads(response.content or b"")["protocol"] == "tcp"
    with Session(protocol="mptcp-only") as session, pytest.raises(niquests.ConnectionError) as caught:
        session.get(f"{tcp_site.url}/5")
    chain: BaseException | None = caught.value
    while chain is not None and not isinstance(chain, NotMptcpError):
        chain = chain.__cause__ or chain.__context__
    assert chain is not None


def test_errors_are_its_own() -> None:
    with Session() as session, pytest.raises(niquests.ConnectionError):
        session.get("http://127.0.0.1:9/")


def test_the_example_runs(site: Site) -> None:
    example = pathlib.Path(__file__).parents[3] / "examples" / "python" / "niquests_get.py"
    said = subprocess.check_output([sys.executable, str(example), f"{site.url}/12345"], text=True, timeout=60)
    assert said == "12345 bytes, MPTCP over 1 path\n"
