"""Serve the built book on localhost, and build it again whenever one of its sources changes."""

import http.server
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from build_book import EVERYTHING, digest

ROOT = Path(__file__).resolve().parent.parent
PORT = 8000


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, without a line for each."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Keep the browser from showing an older page."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def start_server() -> http.server.ThreadingHTTPServer:
    """Serve _build/html in the background, on the first free port from 8000 on."""
    handler = partial(QuietHandler, directory=str(ROOT / "_build" / "html"))
    for port in range(PORT, PORT + 100):
        try:
            server = http.server.ThreadingHTTPServer(("localhost", port), handler)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
    raise SystemExit(f"no free port from {PORT} to {PORT + 99}")


def rebuild() -> None:
    """Do what `make book` does; what fails says so itself, and the server goes on."""
    for tool in ("make_notebooks.py", "build_book.py"):
        if subprocess.run([sys.executable, str(ROOT / "tools" / tool)]).returncode != 0:
            return


def main() -> None:
    """Build, serve, and look for changes every second."""
    before = digest(ROOT, EVERYTHING)
    rebuild()
    server = start_server()
    print(f"Serving http://localhost:{server.server_port} (Ctrl-C stops it)", flush=True)
    while True:
        time.sleep(1)
        now = digest(ROOT, EVERYTHING)
        if now != before:
            before = now
            rebuild()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
