"""What can go wrong with a request, as the parts of this package tell each other. Nobody outside sees these."""

from __future__ import annotations


class Fault(Exception):
    """A request that did not come to its end; the text says why, without the server's name."""


class Transient(Fault):
    """It may go well the next time: a busy or broken server, a proxy's page, a reply that is no reply.

    `wait` is how long the server asked to wait, in seconds.
    """

    def __init__(self, cause: str, wait: float | None = None):
        super().__init__(cause)
        self.wait = wait


class Broken(Transient):
    """The connection broke, or a proxy lost the server: it may have ended, and another model may serve there next."""


class Down(Fault):
    """Nobody listens there."""


class Denied(Fault):
    """The server wants a key, or another one; or, by its own words, a name and password (`by_name`)."""

    def __init__(self, cause: str, *, by_name: bool = False):
        super().__init__(cause)
        self.by_name = by_name


class Refused(Fault):
    """The server will not do this, however often it is asked; `status` is the HTTP one."""

    def __init__(self, cause: str, status: int):
        super().__init__(cause)
        self.status = status
