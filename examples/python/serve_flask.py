"""Flask on its development server, werkzeug's, which takes a descriptor."""

import sys

from flask import Flask, request
from werkzeug.serving import make_server

import mphttp
from mphttp.socket import create_server

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return f"You are using {mphttp.transport(request.environ['werkzeug.socket'])}.\n"


with create_server(("", int(sys.argv[1]))) as listener:
    make_server("", 0, app, threaded=True, fd=listener.fileno()).serve_forever()
