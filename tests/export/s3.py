"""An S3 of this machine: moto's server, before which every kind of call can be made to fail."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

Fault = str
"""`500`; `slow down` (503); `reset`: before the call does anything; `lost`: after it has done it; `timeout`: nothing is
said until the caller is gone; `half`: half of what is sent or answered, then a reset."""

FAULTS = ("500", "slow down", "reset", "lost", "timeout", "half")
_RESET = struct.pack("ii", 1, 0)
_ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'


def kind_of(environ: dict[str, Any]) -> str:
    """What a request does."""
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    match method:
        case "GET":
            return "list" if "list-type" in query or environ["PATH_INFO"].count("/") < 2 else "get"
        case "PUT":
            return "part" if "partNumber" in query else "put"
        case "POST":
            return "create" if "uploads" in query else "complete" if "uploadId" in query else "delete"
        case "DELETE":
            return "abort" if "uploadId" in query else "delete"
    return method.lower()


class S3:
    """A WSGI application around moto's.

    Attributes:
        calls: the kinds of all calls so far.
        fault: what becomes of the call of a number and kind.
        url: where it is.
    """

    def __init__(self, app: Any):
        self._app = app
        self.url = ""
        self.forget()

    def forget(self) -> None:
        """No calls so far, and no faults."""
        self.calls: list[str] = []
        self.fault: Callable[[int, str], Fault | None] = lambda number, kind: None
        self.over = Event()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        kind = kind_of(environ)
        self.calls.append(kind)
        fault, sock = self.fault(len(self.calls) - 1, kind), environ["werkzeug.socket"]
        if fault is None:
            return self._app(environ, start)  # type: ignore[no-any-return]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if fault in ("500", "slow down"):
            environ["wsgi.input"].read(length)
            status, code = ("500 E", "InternalError") if fault == "500" else ("503 E", "SlowDown")
            body = _ERROR.format(code, "Please reduce your request rate.").encode()
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [] if kind == "head" else [body]
        if fault == "lost" or (fault == "half" and kind in ("get", "list")):
            head: list[Any] = []
            body = b"".join(self._app(environ, lambda *said: head.extend(said)))
            if fault == "half" and len(body) > 1:
                start(head[0], [*((n, v) for n, v in head[1] if n.lower() != "content-length"),
                                ("Content-Length", str(len(body)))])  # fmt: skip
                return [body[: len(body) // 2]]
        elif fault == "half":
            environ["wsgi.input"].read(length // 2)
        elif fault == "timeout":
            self.over.wait(5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise ConnectionResetError


@contextmanager
def serving() -> Iterator[S3]:
    """A server on a free port."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'antiphon[remote]'")
    pytest.importorskip("moto", reason="needs moto: pip install 'moto[server]'")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from s3fs import S3FileSystem
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log(self, *said: object) -> None: ...

        def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
            self.close_connection = True  # else it would wait for another request

    store = S3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=Silent)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_port}"
    S3FileSystem.clear_instance_cache()  # one of them remembers the address that it had first
    try:
        yield store
    finally:
        store.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def quickly(store: S3, patch: pytest.MonkeyPatch) -> None:
    """The environment of a user of this store, and its library's waits made short."""
    import botocore.retries.standard
    import s3fs

    from antiphon import storage

    environment = {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "open-sesame",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda self, context: 0)
    patch.setattr(s3fs.S3FileSystem, "retries", 2)
    patch.setattr(storage, "_LONGEST", 60)
    config = {**storage.OPTIONS["s3"]["config_kwargs"], "connect_timeout": 2, "read_timeout": 0.25}
    config["retries"] = {"mode": "standard", "max_attempts": 3}
    patch.setitem(storage.OPTIONS, "s3", {**storage.OPTIONS["s3"], "config_kwargs": config})
    store.forget()


class Bucket:
    """What is in a bucket, seen past all faults by another library than ours."""

    def __init__(self, store: S3, name: str):
        import boto3

        self._client = boto3.client("s3", endpoint_url=store.url)
        self._store, self.name = store, name
        self._client.create_bucket(Bucket=name)

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """All objects below a prefix."""
        fault, self._store.fault = self._store.fault, lambda number, kind: None
        try:
            listed = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
            return {
                one["Key"].removeprefix(prefix): self._client.get_object(Bucket=self.name, Key=one["Key"])[
                    "Body"
                ].read()
                for one in listed
            }
        finally:
            self._store.fault = fault

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)

    def unfinished(self) -> int:
        """Uploads in pieces that were begun and neither ended nor given up."""
        return len(self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", []))


def rows_of(objects: dict[str, bytes]) -> list[str] | None:
    """The responses of the data set that a manifest makes, None without one.

    A manifest over missing or other data is an error.
    """
    import pyarrow.parquet

    if "manifest.json" not in objects:
        return None
    said, found = json.loads(objects["manifest.json"]), []
    for file in said["files"]:
        data = objects[file["name"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        rows = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
        assert len(rows) == file["rows"]
        found += [row["messages"][-1]["content"] for row in rows]
    assert len(found) == said["rows"]
    return found
