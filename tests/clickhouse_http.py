"""A ClickHouse server for tests: its HTTP interface in front of the embedded engine, in a process of its own.

`python -m tests.clickhouse_http FOLDER` prints the port that it listens on. It knows what our client sends: the
statement in the address or the body, settings and `param_*` in the address, JSON lines for `input()` as the body.
"""

import base64
import re
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import chdb

USER, PASSWORD = "headrace", "p@ss"
TRANSPORT = {
    "query", "database", "user", "password", "session_id", "query_id", "wait_end_of_query", "client_protocol_version",
    "buffer_size", "compress", "enable_http_compression", "http_headers_progress_interval_ms",
    "send_progress_in_http_headers", "cancel_http_readonly_queries_on_client_close", "default_format",
}  # fmt: skip
INPUT = re.compile(r"\binput\(('(?:[^'\\]|\\.)*')\)")
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, body: bytes) -> None:
        asked = {
            name: values[-1] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()
        }
        if urlsplit(self.path).path == "/ping":
            self.send(200, b"Ok.\n")
        elif self.headers.get("Authorization") != self.authorization():
            self.send(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", code="516")
        else:
            try:
                self.send(200, *self.run(asked, body))
            except Exception as problem:  # noqa: BLE001 - whatever the engine says goes to the client, as a server's does
                text = str(problem)
                code = re.search(r"Code: (\d+)", text)
                self.send(500, text.encode(), code=code[1] if code else "1000")

    @staticmethod
    def authorization() -> str:
        return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def run(self, asked: dict[str, str], body: bytes) -> tuple[bytes, str]:
        sql, data = (asked["query"], body) if "query" in asked else (body.decode(), b"")
        if data and "query" in asked and not INPUT.search(sql):
            sql, data = f"{sql}\n{data.decode()}", b""
        params = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
        settings = {name: value for name, value in asked.items() if name not in TRANSPORT and name[:6] != "param_"}
        connection = chdb.connect(str(self.folder))
        try:
            connection.query(f"USE `{asked.get('database', 'default')}`", "TabSeparated")
            for name, value in settings.items():
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                connection.query(f"SET {name} = '{quoted}'", "TabSeparated")
            with tempfile.NamedTemporaryFile(dir=self.folder) as file:
                file.write(data)
                file.flush()
                if INPUT.search(sql):
                    sql = FORMAT.sub(
                        "", INPUT.sub(lambda found: f"file('{file.name}', 'JSONEachRow', {found[1]})", sql)
                    )
                named = FORMAT.search(sql)
                name = named[1] if named else asked.get("default_format", "TabSeparated")
                return connection.query(sql, name, params=params).bytes() or b"", name
        finally:
            connection.close()

    def send(self, status: int, body: bytes, format_name: str = "TabSeparated", code: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if code is None:
            self.send_header("X-ClickHouse-Format", format_name)
            self.send_header("X-ClickHouse-Summary", "{}")
            self.send_header("X-ClickHouse-Timezone", "UTC")
        else:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)


def main(folder: str) -> None:
    Handler.folder = Path(folder)
    keep = chdb.connect(folder)  # The engine lives as long as one connection is open.
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
    keep.close()


if __name__ == "__main__":
    main(sys.argv[1])
