"""How several servers share the memory of devices, decided before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from antiphon.errors import ModelError


@dataclass(frozen=True, slots=True)
class Size:
    """What a server of one model takes. Bytes, apart from the two counts of tokens."""

    name: str
    weights: int
    token: int
    """Keys and values of one token."""

    least: int
    """Tokens that it must be able to hold at once."""

    most: int
    """Tokens that it can make use of; at least `least`."""

    overhead: int
    few_bits: int | None = None
    """The weights of a 4-bit version, where that is much smaller."""

    where: Collection[int] = ()
    """Devices that it may be put on; none: any."""

    @property
    def need(self) -> int:
        """The least memory it can do with."""
        return self.weights + self.overhead + self.least * self.token

    def __str__(self) -> str:
        cache = self.least * self.token
        return (
            f"{self.name} needs {gib(self.need)} (weights {gib(self.weights)}, "
            f"{self.least:,} tokens {gib(cache)}, overhead {gib(self.overhead)})"
        )


class Share(NamedTuple):
    """What a model may take: the number of its device, and bytes of it."""

    device: int
    memory: int


def shares(models: Sequence[Size], devices: Sequence[int]) -> list[Share]:
    """Puts each model on one device and divides the memory; gives their shares in the order of `models`.

    The neediest model is placed first, each on the device with most left. What remains of a device goes to its models
    in proportion to what they can make use of. Servers are to be started one after the other, the largest share first:
    vLLM measures the memory that is free while it starts and fails when a neighbour frees some meanwhile, and what is
    likeliest not to fit is then known before time was spent on the others.

    Args:
        devices: the memory to give away of each, in bytes.

    Raises:
        ModelError: they do not fit; says what each needs, what there is, and what would fit.
    """
    places = _place(models, devices)
    if places is None:
        raise ModelError(_explain(models, devices))
    given = []
    for model, place in zip(models, places, strict=True):
        beside = [other for other, at in zip(models, places, strict=True) if at == place]
        left = devices[place] - sum(other.need for other in beside)
        wishes = sum(_wish(other) for other in beside)
        given.append(Share(place, model.need + (_wish(model) * min(left, wishes) // wishes if wishes else 0)))
    return given


def _wish(model: Size) -> int:
    return (model.most - model.least) * model.token


def _place(models: Sequence[Size], devices: Sequence[int]) -> list[int] | None:
    """The device of each model, None where they do not fit."""
    left = list(devices)
    places: dict[int, int] = {}
    for number in sorted(range(len(models)), key=lambda number: -models[number].need):
        allowed = models[number].where or range(len(devices))
        places[number] = place = max(allowed, key=left.__getitem__)
        left[place] -= models[number].need
    return [places[number] for number in range(len(models))] if min(left) >= 0 else None


def _explain(models: Sequence[Size], devices: Sequence[int]) -> str:
    needs = ", ".join(map(str, models))
    together = f", together {gib(sum(model.need for model in models))}" if len(models) > 1 else ""
    open_to = {place for model in models for place in model.where or range(len(devices))}
    there = " and ".join(gib(devices[place]) for place in sorted(open_to))
    return f"{needs}{together}; there is {there} to give. {_advice(models, devices)}"


def _advice(models: Sequence[Size], devices: Sequence[int]) -> str:
    if _place([replace(model, least=min(model.least, 1024)) for model in models], devices) is not None:
        return "A shorter context or fewer slots would fit"
    wide = sorted((m for m in models if m.few_bits is not None), key=lambda model: -model.weights)
    for count in range(1, len(wide) + 1):
        for chosen in combinations(wide, count):
            smaller = [replace(m, weights=m.few_bits) if m in chosen and m.few_bits else m for m in models]
            if _place(smaller, devices) is not None:
                versions = " and ".join(f"a 4-bit {m.name} of about {gib(m.few_bits or 0)}" for m in chosen)
                return f"{versions[0].upper()}{versions[1:]} would fit"
    return "Take smaller models, or give the URL of a server that runs elsewhere"


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / (1 << 30):.1f} GiB"
