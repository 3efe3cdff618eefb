"""One validated configuration: defaults < TOML file < environment (`ANTIPHON_TEACHER__MODEL`) < flags.

Each field's description is what `antiphon synth --init` writes beside it. What shapes the text of a trace is marked
`shapes=True` and enters the variant's fingerprint; all else may change between two sessions of one run.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.errors import SettingsError

ENVIRONMENT_PREFIX = "ANTIPHON_"


def _shapes(default: Any, description: str, **bounds: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"shapes": True}, **bounds)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def shaping(self) -> dict[str, Any]:
        """The values that shape the text, for a fingerprint."""
        values = {}
        for name, info in type(self).model_fields.items():
            extra = cast(Mapping[str, Any], info.json_schema_extra or {})
            value = getattr(self, name)
            if isinstance(value, _Section):
                values[name] = value.shaping()
            elif extra.get("shapes"):
                values[name] = value
        return values


class Sampling(_Section):
    """How tokens are drawn. Every value is always sent. The defaults are those of the authors' code."""

    temperature: float = _shapes(0.7, "0 is greedy", ge=0, le=5)
    top_p: float = _shapes(0.8, "nucleus, 1 keeps all", gt=0, le=1)
    top_k: int = _shapes(20, "the k likeliest, 0 keeps all", ge=0)
    min_p: float = _shapes(0.0, "least share of the likeliest token's probability", ge=0, le=1)
    repetition_penalty: float = _shapes(1.0, "1 is none; a penalty changes what a model says", gt=0, le=2)


class Connection(_Section):
    """How to speak to the servers of a role."""

    kind: Literal["auto", "vllm", "sglang", "llama.cpp", "openai", "chat"] = Field(
        "auto", description="the kind of server; auto: found by asking it; chat: whole replies only"
    )
    prefix: Literal["never", "continue_final_message", "prefix"] = Field(
        "never", description="how a chat endpoint goes on from the beginning of a reply, for turns (docs/methods.md)"
    )
    served: str | None = Field(None, description="the model's name there; unset: the only one that it serves")
    tokenizer: str | None = Field(
        None, description="a folder or file with the model's tokenizer; unset: looked for, then the server's own route"
    )
    ids: Literal["auto", "never"] = Field("auto", description="never: text only, even where the server gives ids")
    key: str | None = Field(None, description="name of the environment variable that holds the server's key")
    headers: dict[str, str] = Field({}, description="further headers; ${NAME} stands for an environment variable")
    proxy: str | None = Field(None, description="an HTTP proxy; unset: what the environment says")
    verify: bool | str = Field(
        True,
        description="check certificates: true, false, or a file of authorities to trust",
        union_mode="left_to_right",  # the command and the environment say 'false' in letters
    )
    timeout: float = Field(300.0, description="seconds without a byte after which a request counts as broken", gt=0)
    retries: int = Field(5, description="how often a failed request is tried again before its trace fails", ge=0)


class Role(_Section):
    """One of the two models."""

    model: str | None = Field(
        None,
        description="URLs of servers, with commas; servers:FILE, dns:URL (docs/servers.md); or a model directory, a"
        " GGUF file, lab:teacher, lab:student",
    )
    server: Connection = Field(Connection(), description="how to speak to it, where it is a server")
    dialect: str = _shapes("auto", "a family (docs/dialects.md), 'template', or auto: found from the model")
    sampling: Sampling = Field(Sampling(), description="how tokens are drawn")
    context: int | None = _shapes(None, "tokens the model may hold; unset: what the model says", ge=16)
    runs: Literal["auto", "in-process", "llama-server", "vllm"] = Field(
        "auto", description="what runs a model of this machine; auto: a server for it if installed, else this process"
    )
    device: str = Field("auto", description="for a model of this machine: auto, cpu, cuda, cuda:1 ...")
    price_in: float | None = Field(None, description="price of a million prompt tokens", ge=0)
    price_cached: float | None = Field(
        None, description="and of a million of them that came from the server's cache; unset: the same", ge=0
    )
    price_out: float | None = Field(
        None, description="price of a million written tokens, thrown away or not, in the same currency", ge=0
    )


class Boundary(_Section):
    """Which predictor reads whom: the trained one that ships (default), a rule page, a folder, or module:Name."""

    teacher: str = Field("default", description="reads what the teacher writes")
    student: str = Field("default", description="reads what the student writes")


class Budget(_Section):
    """Lengths in the student's tokens."""

    thinking: int | None = Field(
        None, description="most tokens of thinking; unset: 16384, or what the context leaves", ge=1
    )
    answer: int | None = Field(
        None, description="most tokens of the final answer; unset: 8192, at most a third of the context", ge=1
    )
    on_budget: Literal["stop", "close"] = _shapes(
        "stop", "when thinking reaches its budget: stop (too_long), or close it and let the student answer"
    )


class Guards(_Section):
    """What ends a trace early."""

    repetition: bool = _shapes(True, "end traces that loop")
    breaks: int = Field(8, description="broken streams taken up again, per trace, before it fails", ge=0)


class Limits(_Section):
    """Where a run stops, at whichever it reaches first. What is written is kept, and a later session goes on."""

    tokens_total: int | None = Field(
        None, description="most tokens that the models write for this variant, in all sessions together", ge=1
    )
    hours: float | None = Field(None, description="most hours that this session takes", gt=0)
    cost: float | None = Field(
        None, description="most that this variant costs at the roles' prices, in all sessions together", gt=0
    )


class Settings(_Section):
    """Everything a run needs besides its problems and its directory."""

    method: str = _shapes("tessy", "how a trace is written (docs/methods.md)")
    teacher: Role = Field(Role(), description="the strong model: writes capability")
    student: Role = Field(Role(), description="the model to be trained: writes style and the answer")
    boundary: Boundary = Field(Boundary(), description="boundary predictors")
    budget: Budget = Field(Budget(), description="lengths, in the student's tokens")
    guards: Guards = Field(Guards(), description="what ends a trace early")
    max: Limits = Field(Limits(), description="where a run stops; what is written is kept, and a later session goes on")
    thinking_closed_by: Literal["either", "student"] = _shapes("either", "who may close the thinking")
    run_ahead: Literal["auto", "adaptive", "streamed"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="tokens per request; or streamed (one stream a turn, closed at the cut), adaptive (as many as turns"
        " have been long), auto (what is cheaper)",
    )
    chunk: int = Field(20, description="no_rollback: tokens of a chunk, which is kept to its end", ge=1)
    candidates: int = Field(5, description="teacher_score: traces by the student, of which the best stays", ge=1)
    like: str | None = Field(
        None,
        description="random_boundaries, fixed_boundaries: a variant of this run whose spans are as long as theirs",
    )
    source: str | None = Field(None, description="revoice: a variant of this run that is rewritten")
    samples: int = Field(1, description="traces per problem", ge=1)
    until_right: int | None = Field(
        None, description="write traces of a problem until so many are right (docs/verify.md); unset: samples", ge=1
    )
    max_samples: int = Field(8, description="with until_right: most traces of a problem", ge=1)
    limit: int | None = Field(None, description="first so many problems only", ge=1)
    shard: str | None = Field(
        None, description="I/N: of these only the problems of the I-th of N shards, counted from 0 (docs/scale.md)"
    )
    concurrency: int = Field(64, description="traces in flight", ge=1)
    seed: int | None = _shapes(None, "sent with each request, derived from problem, sample and turn; unset: none")
    keep_rejected: bool = Field(False, description="keep what was rolled back, for the viewer and predictors")
    outage: float = Field(600.0, description="seconds to wait for a silent engine before giving up", gt=0)
    metrics: int | str | None = Field(
        None, description="port, or address:port, where Prometheus reads how antiphon synth is doing (docs/scale.md)"
    )
    log: str | None = Field(
        None, description="a file to which antiphon synth adds outages, retries, failures: one JSON a line"
    )


def load(
    path: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Reads the configuration.

    Args:
        path: a TOML file whose tables are the sections above, or None.
        flags: dotted names to values (`{"budget.thinking": 200}`); None values are passed over.
        environment: defaults to the process's; `ANTIPHON_BUDGET__THINKING=200`.

    Raises:
        SettingsError: unreadable file, unknown name or bad value; names the source.
    """
    environment = os.environ if environment is None else environment
    layers: list[tuple[str, dict[str, Any]]] = []
    if path is not None:
        layers.append((str(path), _read_toml(path)))
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            dotted = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
            layers.append((name, _nested(dotted, _scalar(value))))
    for name, value in (flags or {}).items():
        if value is not None:
            layers.append((f"--{name.replace('.', '-').replace('_', '-')}", _nested(name.split("."), value)))
    merged: dict[str, Any] = {}
    sources: dict[tuple[str, ...], str] = {}
    for source, layer in layers:
        _merge(merged, layer, (), source, sources)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, sources)) from None
    wanted = settings.until_right
    if wanted is not None and settings.samples > 1:
        raise SettingsError(f"{sources[('samples',)]}: samples and until_right exclude each other; leave one out")
    if wanted is not None and wanted > settings.max_samples:
        raise SettingsError(
            f"{sources[('until_right',)]}: until_right: {wanted} right ones of at most {settings.max_samples} traces"
            " (max_samples) there cannot be"
        )
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such configuration file; antiphon synth --init writes one") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _scalar(text: str) -> Any:
    """An environment value as TOML reads it, or the bare text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _nested(names: Iterable[str], value: Any) -> dict[str, Any]:
    *outer, last = names
    result: dict[str, Any] = {last: value}
    for name in reversed(outer):
        result = {name: result}
    return result


def _merge(
    into: dict[str, Any],
    layer: Mapping[str, Any],
    at: tuple[str, ...],
    source: str,
    sources: dict[tuple[str, ...], str],
) -> None:
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(name, {}), dict):
            _merge(into.setdefault(name, {}), value, (*at, name), source, sources)
        else:
            into[name] = value
            sources[(*at, name)] = source


def _explain(error: ValidationError, sources: Mapping[tuple[str, ...], str]) -> str:
    """One line for each bad value: where it was said, its name, what is wrong with it."""
    lines = []
    for problem in error.errors():
        names = _setting(tuple(str(part) for part in problem["loc"]))
        source = next((s for at, s in sources.items() if names[: len(at)] == at), "configuration")
        name = ".".join(names)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{source}: there is no setting {name!r}; `antiphon synth --init` writes all there are")
        else:
            lines.append(f"{source}: {name}: {problem['msg']} (given: {problem['input']!r})")
    return "\n".join(dict.fromkeys(lines))


def _setting(location: tuple[str, ...]) -> tuple[str, ...]:
    """The setting's name in a location; what stands behind it there are the branches of a union."""
    section: Any = Settings
    for depth, name in enumerate(location):
        if not (isinstance(section, type) and issubclass(section, _Section)):
            return location[:depth]
        field = section.model_fields.get(name)
        section = None if field is None else field.annotation
    return location
