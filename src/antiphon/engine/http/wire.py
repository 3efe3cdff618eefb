"""What differs between servers: how a completion is asked for, and how its events are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Collection, Mapping
from collections.abc import Sequence as List
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from antiphon.dialect import Message
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Transient
from antiphon.engine.http.prompt import PromptIds
from antiphon.errors import RequestRefused
from antiphon.settings import Sampling

if TYPE_CHECKING:
    import orjson


class Ask(NamedTuple):
    """One request for a continuation. `prompt` is ids, or text where there are none, or the messages of a chat.
    `whole`: the reply is wanted in one piece, not streamed."""

    prompt: array[int] | PromptIds | str | List[Message]
    sampling: Sampling
    max_tokens: int
    stop_ids: Collection[int] = ()
    seed: int | None = None
    slot: int | None = None
    whole: bool = False

    @property
    def ids(self) -> list[int] | orjson.Fragment | None:
        """The prompt as JSON takes it, None where it is no ids."""
        if isinstance(self.prompt, PromptIds):
            return self.prompt.json
        return self.prompt.tolist() if isinstance(self.prompt, array) else None


class Event(NamedTuple):
    """What one event of a stream says. `stop_id` is the id that stopped it, where the server tells; `cached` how much
    of the prompt came from its cache; `broken` why the server gave up; `missing` how many ids before `ids`, as far
    as it counts them, the server did not send though `text` holds what they spell (None: it sends all)."""

    ids: List[int] = ()
    text: str = ""
    finish: Literal["stop", "length"] | None = None
    stop_id: int | None = None
    cached: int | None = None
    broken: str | None = None
    missing: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server tells of itself. None: it does not say.

    `files` are places on this machine where the model may lie. `slots` is how many prefixes it keeps at once.
    """

    model: str
    version: str | None = None
    context: int | None = None
    slots: int | None = None
    template: str | None = None
    files: tuple[Path, ...] = ()


class Wire(ABC):
    """A kind of server. One object per engine; it holds nothing but the model's name there.

    Attributes:
        kind: as settings name it.
        path: where completions are asked for.
        scores: whether `score` works.
        spells: whether its tokenise route can read control tokens as letters.
        aborts: whether it must be told to end a request whose stream was closed.
    """

    kind: ClassVar[str]
    path: str
    scores: ClassVar[bool] = False
    spells: ClassVar[bool] = False
    aborts: ClassVar[bool] = False

    def __init__(self, model: str):
        self.model = model

    @classmethod
    @abstractmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        """Whether the server is of this kind; `listed` is its entry of `/v1/models`."""

    @abstractmethod
    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        """What the server tells of itself.

        Raises:
            Fault: it does not answer.
        """

    @abstractmethod
    def body(self, ask: Ask) -> dict[str, Any]:
        """The request, every sampling value in it."""

    @abstractmethod
    def read(self, data: Any, received: int, characters: int = 0) -> Event:
        """One event of the stream, or a whole reply, that is no error; so many ids and characters came before it.

        Raises:
            LookupError, TypeError, ValueError, AttributeError: it is malformed.
        """

    async def tokenize(self, client: Client, text: str, *, controls: bool) -> list[int]:
        """Text to ids by the server's own route, without a start token. Control tokens that the text spells are
        matched, unless `controls` is false and the kind `spells`.

        Raises:
            Fault: it has no such route.
        """
        raise NotImplementedError

    async def abort(self, client: Client, body: Mapping[str, Any]) -> None:
        """Ends a request by its body.

        Raises:
            Fault: it cannot.
        """
        raise NotImplementedError

    async def detokenize(self, client: Client, ids: List[int]) -> str:
        """Ids to text by the server's own route.

        Raises:
            Fault: it has no such route.
        """
        raise NotImplementedError

    async def score(self, client: Client, ids: List[int]) -> list[float]:
        """As `Engine.score`.

        Raises:
            Fault: from the server.
            RequestRefused: this kind cannot.
        """
        raise RequestRefused(f"{self.model}: a {self.kind} server gives no probabilities of a prompt")


def read_event(wire: Wire, data: Any, received: int = 0, characters: int = 0) -> Event:
    """One event of a stream, as `Wire.read`.

    Raises:
        Transient: it is none, or says that the server gave up.
    """
    try:
        require_no_error(data)
        event = wire.read(data, received, characters)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise Transient(f"its reply has not the form of a completion: {str(data)[:200]}") from None
    if event.broken is not None:
        raise Transient(f"it gave up: {event.broken}")
    return event


def require_no_error(data: Any) -> None:
    """Returns for an event that is no error in OpenAI's form, which all kinds have.

    Raises:
        Transient: it is one.
        AttributeError: it is no object.
    """
    if error := data.get("error"):
        raise Transient(f"it gave up: {error.get('message', error) if isinstance(error, dict) else error}")


def sampled(sampling: Sampling) -> dict[str, float]:
    """The values of a request by the names that vLLM and SGLang share, those among them that are never set."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def counted(details: Any) -> int | None:
    """The cached tokens in an OpenAI `usage`, None where it does not tell."""
    if not details:
        return None
    told = details.get("prompt_tokens_details") or {}
    cached = told.get("cached_tokens")
    return cached if isinstance(cached, int) else None
