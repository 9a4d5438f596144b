"""A program that can't be told: every TCP socket that it makes, with fallback. The same without a line of code:
python -m mphttp script.py"""

import sys
import urllib.request

import mphttp

mphttp.install("mptcp")
with urllib.request.urlopen(sys.argv[1]) as response:
    print(f"{len(response.read())} bytes with {mphttp.installed()} in force")
mphttp.uninstall()
