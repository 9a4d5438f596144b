"""A WSGI application that says what its client uses, under servers that show it their sockets."""

import mphttp


def app(environ, start_response):
    # gunicorn and werkzeug put the connection there; other servers keep it to themselves.
    sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    body = b"Hello\n" if sock is None else f"You are using {mphttp.transport(sock)}.\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
