"""waitress takes listening sockets."""

import sys

import waitress
from wsgi_app import app

from mphttp.socket import create_server

waitress.serve(app, sockets=[create_server(("", int(sys.argv[1])))])
