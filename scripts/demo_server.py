"""A web server that says who it is, on port 80 of every address of its network
namespace, IPv4 and IPv6. For the demo."""

import http.server
import socket
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every request with the name of the server."""

    def do_GET(self):
        body = f"hello from {sys.argv[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keeps the demo's output to the demo."""


class DualStack(http.server.ThreadingHTTPServer):
    """Listens on both versions of IP."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


DualStack(("::", 80), Answer).serve_forever()
