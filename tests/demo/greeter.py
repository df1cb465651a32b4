"""A web server that says where it stands and who calls: `greeter.py NAME`. Run inside a node, on port 80."""

import http.server
import sys


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = f"This is {sys.argv[1]}. You come from {self.client_address[0]}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


print("ready", flush=True)
http.server.ThreadingHTTPServer(("", 80), Greeter).serve_forever()
