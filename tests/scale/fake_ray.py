"""What the driver uses of Ray, with threads in the place of machines: each attempt has a disk of its own."""

from __future__ import annotations

import pickle
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """As `ray.exceptions` has it."""


class RayTaskError(RayError):
    """Something was raised in an actor."""


class RayActorError(RayError):
    """An actor is gone."""


class Reference:
    """An answer that may not be there yet."""

    def __init__(self, value: Any = None, *, there: bool = False):
        self.value = value
        self.error: BaseException | None = None
        self.there = threading.Event()
        if there:
            self.there.set()

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        if not self.there.is_set():
            self.value, self.error = value, error
            self.there.set()


class Actor:
    """An object whose methods run in threads. `lose` is what a machine does that is cut off: it goes on, unheard."""

    def __init__(self, ray: FakeRay, make: Callable[[], Any]):
        self._ray, self._make = ray, make
        self._object: Any = None
        self._made = threading.Event()
        self._asked: list[Reference] = []
        self.lost = False
        self.threads: list[threading.Thread] = []

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *given: self._ask(method, given))

    def lose(self) -> None:
        self.lost = True
        for reference in self._asked:
            reference.settle(error=RayActorError("The actor died unexpectedly before finishing this task."))

    def _ask(self, method: str, given: Sequence[Any]) -> Reference:
        reference = Reference()
        self._asked.append(reference)
        if self.lost:
            reference.settle(error=RayActorError("The actor is dead."))
            return reference

        def answer() -> None:
            self._ray.machine.disk = self._ray.disk(self)
            if self._object is None and method == "work":
                self._object = self._make()
                self._made.set()
            self._made.wait()
            try:
                reference.settle(getattr(self._object, method)(*given))
            except Exception as error:
                reference.settle(error=RayTaskError(f"Traceback (most recent call last):\n  ...\n{error!r}"))

        thread = threading.Thread(target=answer, daemon=True)
        self.threads.append(thread)
        thread.start()
        return reference


class FakeData:
    """`ray.data`: one worker after the other, each for a row or two.

    Attributes:
        dies: whether the worker of a row dies, by the numbers of the items in it; asked once a row.
        rows: the numbers of the items in each row.
    """

    ActorPoolStrategy = SimpleNamespace

    def __init__(self) -> None:
        self.dies: Callable[[list[int]], bool] = lambda numbers: False
        self.rows: list[list[int]] = []

    def from_items(self, rows: Sequence[dict[str, bytes]], override_num_blocks: int) -> Any:
        assert override_num_blocks == len(rows), "each row is a block of its own"
        self._rows = list(rows)
        return SimpleNamespace(context=SimpleNamespace(), map=self._map)

    def _map(self, kind: type, *, fn_constructor_args: Sequence[Any], **_: Any) -> Any:
        given = pickle.dumps(fn_constructor_args)
        return SimpleNamespace(iter_batches=lambda **_: self._made(kind, given, self._rows))

    def _made(self, kind: type, given: bytes, rows: Sequence[dict[str, bytes]]) -> Iterator[dict[str, Any]]:
        for some in zip_longest(*[iter(rows)] * 2):
            with closing(kind(*pickle.loads(given))) as worker:
                for row in filter(None, some):
                    self.rows.append([number for number, _ in pickle.loads(row["batch"])])
                    if not self.dies(self.rows[-1]):  # else Ray Data leaves it out, in the end
                        reply = worker(row)["reply"]
                        yield {"reply": SimpleNamespace(to_pylist=lambda reply=reply: [reply])}


class FakeRay:
    """The module.

    Args:
        disks: a folder for all disks.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, RayActorError=RayActorError)

    def __init__(self, disks: Path):
        self._disks = disks
        self.actors: list[Actor] = []
        self.machine = threading.local()
        self.head = socket.create_server(("127.0.0.1", 0))
        self.options: dict[str, Any] = {}
        self.data = FakeData()
        self.resources = {"CPU": 4.0}

    def disk(self, actor: Actor) -> str:
        return str(self._disks / str(self.actors.index(actor)))

    def init(self, **options: Any) -> None:
        self.options = options

    def shutdown(self) -> None:
        for actor in self.actors:
            for thread in actor.threads:
                thread.join(30)

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}, {"Alive": True}, {"Alive": False}]

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="{}:{}".format(*self.head.getsockname()))

    def put(self, value: Any) -> Reference:
        return Reference(value, there=True)

    def get(self, reference: Reference, timeout: float | None = None) -> Any:
        assert reference.there.wait(timeout)
        if reference.error is not None:
            raise reference.error
        return reference.value

    def wait(self, references: list[Reference], **_: Any) -> tuple[list[Reference], list[Reference]]:
        return [each for each in references if each.there.is_set()], []

    def kill(self, actor: Actor) -> None:
        actor.lost = True

    def remote(self, **_: Any) -> Callable[[type], Any]:
        def wrap(kind: type) -> Any:
            return SimpleNamespace(remote=lambda *given: self._begin(kind, given))

        return wrap

    def _begin(self, kind: type, given: Sequence[Any]) -> Actor:
        plain = [each.value if isinstance(each, Reference) else each for each in given]
        actor = Actor(self, lambda: kind(*plain))
        self.actors.append(actor)
        return actor


def install(ray: FakeRay, put: Callable[..., None]) -> FakeRay:
    """Puts it in Ray's place; `put` is `monkeypatch.setattr`."""
    real = tempfile.gettempdir
    put("antiphon.scale.cluster.library", lambda address: ray)
    put("antiphon.scale.cluster.require_data", lambda: None)
    put("antiphon.scale.ray._GLANCE", 0.02)
    put("antiphon.scale.shard.gettempdir", lambda: getattr(ray.machine, "disk", None) or real())
    put("os.chdir", lambda path: None)
    return ray
