"""Test double of the gateway's program: ready when its Triton is."""

import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/settings":
            names = ("LACUNA_TRITON", "LACUNA_TOKENS", "LACUNA_INPAINT_MODEL", "LACUNA_RATE_BURST")
            self.reply(200, "\n".join(f"{name}={os.environ.get(name)}" for name in names))
        elif self.path == "/die":
            os._exit(3)
        else:
            self.reply(200 if triton_is_ready() else 503, "")

    def reply(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def triton_is_ready() -> bool:
    try:
        with urllib.request.urlopen(os.environ["TEST_TRITON_HEALTH"], timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


host, _, port = os.environ["LACUNA_LISTEN"].rpartition(":")
with ThreadingHTTPServer((host, int(port)), Handler) as server:
    print("double listens", file=sys.stderr, flush=True)
    server.serve_forever()
