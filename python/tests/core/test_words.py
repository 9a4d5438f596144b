"""Protocols and reasons, as words."""

import pickle
import socket

import pytest

import mphttp
from mphttp import Protocol, Reason, _mphttp


def test_a_protocol_has_many_names() -> None:
    for choice in (Protocol.MPTCP, "mptcp", "MPTCP", socket.IPPROTO_MPTCP, 262, None):
        assert Protocol.of(choice) is Protocol.MPTCP
    assert Protocol.of("tcp") is Protocol.of(socket.IPPROTO_TCP) is Protocol.TCP
    assert Protocol.of("mptcp_only") is Protocol.MPTCP_ONLY == "mptcp-only"
    assert f"{Protocol.MPTCP_ONLY}" == str(Protocol.MPTCP_ONLY) == "mptcp-only"


@pytest.mark.parametrize("choice", ["sctp", "", 17, 0, True, False, 6.5, object()])
def test_anything_else_is_an_error(choice: object) -> None:
    with pytest.raises(ValueError, match="unknown protocol"):
        Protocol.of(choice)


def test_the_environment_changes_the_default_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPHTTP_PROTOCOL", "tcp")
    assert Protocol.of(None) is Protocol.TCP
    assert Protocol.of("mptcp") is Protocol.MPTCP
    monkeypatch.setenv("MPHTTP_PROTOCOL", "")
    assert Protocol.of(None) is Protocol.MPTCP
    monkeypatch.setenv("MPHTTP_PROTOCOL", "mtcp")
    with pytest.raises(ValueError, match=r"MPHTTP_PROTOCOL.*mtcp"):
        Protocol.of(None)


def test_reasons_are_those_of_rust() -> None:
    assert [reason.value for reason in Reason] == _mphttp.reasons()
    assert all(reason.explanation for reason in Reason)
    assert "net.mptcp.enabled" in (Reason.DISABLED.remedy or "")
    assert Reason.PLATFORM.remedy is None


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(mphttp.NotMptcpError(93, "no", "client")))
    assert (error.errno, error.reason) == (93, Reason.CLIENT)
    assert isinstance(pickle.loads(pickle.dumps(mphttp.FellBackError())), ConnectionError)


def test_importing_the_package_imports_little() -> None:
    import subprocess
    import sys

    code = "import sys, mphttp; print(*sorted(sys.modules))"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert "mphttp._mphttp" in loaded
    unwanted = {
        "http.client",
        "ssl",
        "asyncio",
        "requests",
        "urllib3",
        "httpx",
        "httpcore",
        "aiohttp",
        "anyio",
    }
    assert not loaded & unwanted
