"""A static web server over TLS with entity tags, that can be told to misbehave: web.py PORT CERTIFICATE KEY FOLDER

FOLDER/body is what it gives out; FOLDER/mode says how: good (default), error, portal, short (of what it promised), cut,
endless, plain (sends on to http). Each request is a line on standard output: the status that it was answered with.
"""

import hashlib
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

port, certificate, key, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        print(status, flush=True)
        self.wfile.write(body)

    def do_GET(self) -> None:
        mode = (folder / "mode").read_text().strip() if (folder / "mode").exists() else "good"
        body = (folder / "body").read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if mode == "error":
            self.answer(500, b"<html>Internal Server Error</html>")
        elif mode == "portal":
            self.answer(200, b"<html><body>Please log in to the hotel's network</body></html>", ETag='"portal"')
        elif mode == "short":
            self.answer(200, body[: len(body) // 2], Content_Length=str(len(body)), ETag=tag)
            self.close_connection = True
        elif mode == "cut":
            self.answer(200, body[: len(body) // 2], ETag='"cut"')
        elif mode == "plain":
            self.answer(302, Location="http://sites.example.net/zurich.bundle")
        elif mode == "endless":
            self.send_response(200)
            self.end_headers()
            print(200, flush=True)
            self.close_connection = True
            for _ in range(1024):
                self.wfile.write(bytes(1 << 20))
        elif self.headers.get("If-None-Match") == tag:
            self.answer(304, ETag=tag)
        else:
            self.answer(200, body, ETag=tag)


server = ThreadingHTTPServer(("", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
