"""waitress takes listening sockets."""

import sys

import waitress
from mphttp.socket import create_server
from wsgi_app import app

waitress.serve(app, sockets=[create_server(("", int(sys.argv[1])))])
