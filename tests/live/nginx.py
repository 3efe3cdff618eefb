"""An nginx of our own between the run and the simulated pair: one process, unprivileged, all its files in a folder.

Each way is a path before the roles: `/buffered/teacher/v1/...` goes to the simulated teacher under that way's rules.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import NamedTuple

from bench.simulator import Pair

USER, PASSWORD, KEY = "reader", "open/sesame@7", "the-key-of-the-proxy"

WAYS = {
    "plain": "proxy_buffering off;",
    "buffered": "proxy_buffering on;",
    "closing": "proxy_buffering off; keepalive_timeout 0; proxy_http_version 1.0; proxy_set_header Connection close;",
    "impatient": "proxy_buffering off; proxy_read_timeout 2s;",
    "basic": 'proxy_buffering off; auth_basic "members"; auth_basic_user_file {folder}/members;',
    "keyed": f'proxy_buffering off; if ($http_authorization != "Bearer {KEY}") {{{{ return 401; }}}}',
    "narrow": "proxy_buffering off; client_max_body_size 600;",
    "astray": "set $to 127.0.0.1:1;",
    "moved": "return 301 https://$host:{tls}$request_uri;",
}

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format short "$connection $status $request_uri";
    upstream teacher {{ server 127.0.0.1:{teacher}; }}
    upstream student {{ server 127.0.0.1:{student}; }}
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        {ways}
    }}
}}
"""

LOCATION = """
        location ~ ^/{name}/(teacher|student)(/.*)$ {{
            access_log {folder}/{name}.log short;
            set $to $1;
            {rules}
            proxy_pass http://$to$2;
        }}
"""


class Line(NamedTuple):
    """Of the access log: one request that is over."""

    connection: int
    status: int
    path: str


PROGRAMS = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("nginx", "openssl")}


def missing() -> str:
    """What this machine lacks for one; empty if nothing."""
    return " and ".join(name for name, path in PROGRAMS.items() if path is None)


@dataclass(frozen=True)
class Nginx:
    """A running one."""

    folder: Path
    plain: int
    tls: int

    @property
    def certificate(self) -> Path:
        """Its own authority."""
        return self.folder / "certificate.pem"

    def url(self, way: str, role: str, *, tls: bool = False, user: str = "") -> str:
        """Where a role's server is, on a way."""
        scheme, port = ("https", self.tls) if tls else ("http", self.plain)
        return f"{scheme}://{user}127.0.0.1:{port}/{way}/{role}/v1"

    def log(self, way: str) -> list[Line]:
        """All requests of a way that are over."""
        lines = (line.split(" ", 2) for line in (self.folder / f"{way}.log").read_text().splitlines())
        return [Line(int(connection), int(status), path) for connection, status, path in lines]

    def forget(self) -> None:
        """Empties the logs."""
        for log in self.folder.glob("*.log"):
            os.truncate(log, 0)


@contextmanager
def nginx(folder: Path, pair: Pair) -> Iterator[Nginx]:
    """Runs before a pair for as long as the context lasts.

    Raises:
        RuntimeError: it ended at once; holds what it said.
    """
    folder.mkdir()
    _certify(folder)
    (folder / "members").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        found = Nginx(folder, one.getsockname()[1], other.getsockname()[1])
    places = {"folder": folder, "plain": found.plain, "tls": found.tls}
    ways = "".join(LOCATION.format(name=name, rules=rules.format(**places), **places) for name, rules in WAYS.items())
    written = CONFIGURATION.format(teacher=pair.teacher.port, student=pair.student.port, ways=ways, **places)
    (folder / "nginx.conf").write_text(written)
    errors = folder / "error.log"
    process = subprocess.Popen([str(PROGRAMS["nginx"]), "-p", folder, "-e", errors, "-c", folder / "nginx.conf"])
    try:
        while not _listens(found.plain):
            if process.poll() is not None:
                raise RuntimeError(f"nginx ended with {process.returncode}: {errors.read_text()}")
            Event().wait(0.05)
        yield found
    finally:
        process.terminate()
        process.wait()


def _certify(folder: Path) -> None:
    """A certificate for 127.0.0.1 that nobody signed but itself."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=proxy -addext subjectAltName=IP:127.0.0.1"
    places = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run([*command.split(), *places], check=True, capture_output=True)


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return bool(connection.getresponse().status)
    except OSError:
        return False
    finally:
        connection.close()
