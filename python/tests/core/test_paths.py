"""The host's paths as data, against what the program prints and what the kernel has in files."""

import json
import pathlib
import subprocess
import sys

import mphttp

#: The program of this environment.
PROGRAM = [sys.executable, "-c", "import sys, mphttp._program as p; sys.exit(p.main())", "paths"]


def test_paths_are_those_of_this_host() -> None:
    seen = mphttp.paths()
    names = {interface["name"]: interface for interface in seen["interfaces"]}
    loopback = names["lo"]
    assert loopback["loopback"] and loopback["index"] == 1
    if loopback["up"]:
        assert "127.0.0.1" in [own["address"] for own in loopback["addresses"]]
    enabled = pathlib.Path("/proc/sys/net/mptcp/enabled").read_text().strip() == "1"
    assert seen["settings"]["enabled"] is enabled
    assert seen["problems"] == []
    limits = seen["limits"]
    assert limits is not None and 0 <= limits["subflows"] <= 8


def test_the_program_tells_the_same() -> None:
    printed = subprocess.run([*PROGRAM, "--json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == mphttp.paths()


def test_endpoints_that_are_added_are_seen() -> None:
    subprocess.run([*PROGRAM, "add", "192.0.2.77", "--backup"], check=True, capture_output=True)
    try:
        endpoints = mphttp.paths()["endpoints"]
        assert endpoints is not None
        (made,) = [endpoint for endpoint in endpoints if endpoint["address"] == "192.0.2.77"]
        assert made["flags"]["subflow"] and made["flags"]["backup"] and not made["flags"]["signal"]
    finally:
        subprocess.run([*PROGRAM, "del", "192.0.2.77"], check=True)
