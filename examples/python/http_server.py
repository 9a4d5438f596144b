"""http.server: MPTCP by default, and the handler can ask what its client uses. `mptcp=False` switches it off."""

import sys

from mphttp.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"You are using {self.request_transport()}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with ThreadingHTTPServer(("", int(sys.argv[1])), Handler, mptcp=True) as server:
    server.serve_forever()
