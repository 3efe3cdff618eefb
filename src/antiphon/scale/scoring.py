"""Texts scored by a model of a cluster's machines: each has one of its own, or asks its servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from antiphon.analyse.scores import Scored
from antiphon.analyse.scoring import open_model
from antiphon.analyse.text import Text
from antiphon.engine.models import is_served
from antiphon.errors import ModelError
from antiphon.scale.spread import Spread
from antiphon.scale.worker import Work
from antiphon.settings import Role


class Scoring:
    """As `antiphon.analyse.scoring.Scoring`. See `met`."""

    at_once = 2_048

    def __init__(self, spread: Spread, role: Role, how: Mapping[str, int], model: _Model):
        self.name, self.kept_as = model
        self._spread, self._role, self._how, self._model = spread, role, how, model

    @classmethod
    async def met(cls, spread: Spread, role: Role) -> Scoring:
        """A model, which has been asked on one of the machines who it is: it need not be, or be reached, here. One that
        is served is asked by a worker a machine; any other is loaded by each worker, on a GPU if machines have some.

        Raises:
            ClusterError: it cannot score; or what `Spread.map` raises.
        """
        how = {"gpus": int(role.device != "cpu" and spread.gpus > 0)}
        if is_served(role.model or ""):
            how = {"most": spread.machines}
        async with aclosing(spread.map(partial(_introduced, role), [(None, None)], **how)) as told:
            async for _, model in told:
                if isinstance(model, str):
                    raise ModelError(f"{role.model}: {model}")
                return cls(spread, role, how, model)
        raise AssertionError("every item has a result")

    async def require(self) -> None:
        """Returns: it was asked when it was met."""

    async def score(self, texts: Sequence[Text]) -> AsyncGenerator[tuple[int, Scored | str]]:
        """See the contract."""
        make = partial(_scoring, self._role, self._model)
        async with aclosing(self._spread.map(make, enumerate(texts), **self._how)) as scores:
            async for scored in scores:
                yield scored


class _Model(NamedTuple):
    """Who a model is."""

    name: str
    kept_as: str


async def _introduced(role: Role) -> Work:
    """Tells of a model."""
    model = await open_model(role)

    async def tell(_: None) -> _Model:
        await model.require()
        return _Model(model.name, model.kept_as)

    return tell


async def _scoring(role: Role, expected: _Model) -> Work:
    """What scores texts.

    Raises:
        ModelError: the model is another here.
    """
    model = await open_model(role)
    if model.kept_as != expected.kept_as:
        raise ModelError(f"{role.model} is another model here than on another machine; give all the same")
    return model.one
