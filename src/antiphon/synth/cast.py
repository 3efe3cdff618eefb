"""From settings to voices: models are loaded, dialects found, predictors read, budgets fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import antiphon.boundary
import antiphon.dialect
from antiphon.boundary.base import BoundaryPredictor
from antiphon.dialect import text_of
from antiphon.engine import models
from antiphon.engine.base import Engine
from antiphon.engine.models import open_engine
from antiphon.errors import DialectError, ModelError, SettingsError
from antiphon.plural import many
from antiphon.settings import Role, Settings
from antiphon.synth.ahead import RunAhead
from antiphon.synth.given import NOTHING, Given
from antiphon.synth.methods import METHODS, PROBLEMS, Method, Revoiced, method
from antiphon.synth.score import Listener, Score
from antiphon.synth.shaping import about, shaping_of
from antiphon.synth.voice import Voice
from antiphon.trace import Author

_THINKING, _ANSWER = 16384, 8192
LEAST_THINKING = 16

EngineOpener = Callable[..., Engine]


class Part(NamedTuple):
    """A method by which the same voices write what a trace is made of."""

    score: Score
    shaping: Mapping[str, Any]


@dataclass(frozen=True)
class Cast:
    """The voices of a run and what is recorded about them.

    `shaping` is what a variant's fingerprint covers; `about` what is good to know beside it. `remarks` are what a user
    should know before spending, one line each. `parts` are the methods by which its traces are made of others, by name.
    """

    score: Score
    shaping: Mapping[str, Any]
    about: Mapping[str, Any]
    remarks: Sequence[str] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Each engine once."""
        return tuple({id(voice.engine): voice.engine for voice in self.score.voices.values()}.values())

    @property
    def predictors(self) -> tuple[BoundaryPredictor, ...]:
        """Each predictor once."""
        found = [voice.predictor for voice in self.score.voices.values()]
        return tuple({id(one): one for one in (*found, self.score.marks) if one is not None}.values())

    @property
    def room(self) -> int | None:
        """How many traces the engines keep the prefixes of at once, None where nothing limits them."""
        return min((room for room in _rooms(self.score).values() if room is not None), default=None)

    async def close(self) -> None:
        """Lets go of engines and predictors."""
        for engine in self.engines:
            await engine.close()
        for predictor in self.predictors:
            await predictor.close()


async def assemble(
    settings: Settings,
    *,
    given: Given = NOTHING,
    listener: Listener | None = None,
    open_engine: EngineOpener = open_engine,
) -> Cast:
    """Loads what the method needs.

    Args:
        given: what the method takes from the run directory.
        open_engine: gives the engine for a model's name (tests and other front ends bring their own).

    Raises:
        UsageError: a model, dialect, predictor or budget that cannot be used; the message says which.
        EngineUnavailable: a model's server does not answer.
    """
    chosen = chosen_method(settings)
    roles = {role: _role(settings, role, chosen) for role in _roles_to_load(settings, chosen)}
    predictors = _predictors(settings, chosen.predicted)  # before models, whose loading may take minutes
    engines: dict[Author, Engine] = {}
    try:
        engines = _open(roles, open_engine)
        await models.start(dict.fromkeys(engines.values()))
        voices = {
            author: await find_voice(author, engines[author], role, given.cutter or predictors.get(author))
            for author, role in roles.items()
        }
        marks = predictors[Author.TEACHER] if isinstance(chosen.thinking, Revoiced) else None
        return _cast(settings, chosen, roles, voices, marks, given, listener or Listener())
    except BaseException:
        for engine in dict.fromkeys(engines.values()):
            await engine.close()
        for predictor in dict.fromkeys(predictors.values()):
            await predictor.close()
        raise


def _open(roles: Mapping[Author, Role], open_engine: EngineOpener) -> dict[Author, Engine]:
    """The engines by role; two roles with the same model share one."""
    opened: dict[str, Engine] = {}
    for role in roles.values():
        if (place := _place(role)) not in opened:
            opened[place] = open_engine(
                role.model, device=role.device, context=role.context, runs=role.runs, server=role.server
            )
    return {author: opened[_place(role)] for author, role in roles.items()}


def _place(role: Role) -> str:
    return repr((role.model, role.device, role.context, role.runs, role.server))


def _predictors(settings: Settings, roles: Iterable[Author]) -> dict[Author, BoundaryPredictor]:
    pages = {author: getattr(settings.boundary, author.value) for author in roles}
    loaded = {page: antiphon.boundary.load(page) for page in dict.fromkeys(pages.values())}
    return {author: loaded[page] for author, page in pages.items()}


def _cast(
    settings: Settings,
    chosen: Method,
    roles: Mapping[Author, Role],
    voices: Mapping[Author, Voice],
    marks: BoundaryPredictor | None,
    given: Given,
    listener: Listener,
) -> Cast:
    for author in chosen.roles:
        if not voices[author].continues:
            _require_whole_replies(settings, chosen, voices[author])
    score = Score(
        method=chosen,
        voices=voices,
        script=voices.get(Author.STUDENT) or voices[Author.TEACHER],
        marks=marks,
        close_on_budget=settings.budget.on_budget == "close",
        only_student_closes=settings.thinking_closed_by == "student",
        guard_repetition=settings.guards.repetition,
        breaks=settings.guards.breaks,
        run_ahead=RunAhead(settings.chunk if chosen.keeps_chunks else settings.run_ahead),
        seed=settings.seed,
        keep_rejected=settings.keep_rejected,
        listener=listener,
    )
    parts = {}
    for name in chosen.parts:
        part = _budgeted(settings, replace(score, method=METHODS[name], marks=None))
        parts[name] = Part(part, shaping_of(settings, part))
    score = _budgeted(settings, score)
    shaping = {**shaping_of(settings, score), **given.shaping}
    return Cast(score, shaping, about(settings, roles, voices), _remarks(settings, score), parts)


def _budgeted(settings: Settings, score: Score) -> Score:
    """The same with the budgets that its answering model allows.

    Raises:
        SettingsError: they leave no room for thinking.
    """
    answering = score.voices[score.method.answer]
    thinking, answer = budgets(settings, answering.context)
    _require_room(answering, answer)
    return replace(score, thinking_budget=thinking, answer_budget=answer)


def chosen_method(settings: Settings) -> Method:
    """The method that the settings name, with what they say of its needs.

    Raises:
        SettingsError: there is none of this name.
    """
    chosen = method(settings.method)
    if chosen.shown is not None and settings.teacher.model is None:
        return replace(chosen, shown=PROBLEMS)
    return chosen


def _roles_to_load(settings: Settings, chosen: Method) -> tuple[Author, ...]:
    """The method's, and the student wherever one is named: the response is stored in its dialect."""
    roles = chosen.roles
    if Author.STUDENT not in roles and settings.student.model is not None:
        roles = (Author.STUDENT, *roles)
    return roles


def _role(settings: Settings, author: Author, chosen: Method) -> Role:
    role: Role = getattr(settings, author.value)
    if role.model is None:
        raise SettingsError(
            f"the method {chosen.name} needs a {author.value}: give --{author.value} MODEL "
            f"or set [{author.value}] model in the configuration"
        )
    return role


async def find_voice(author: Author, engine: Engine, role: Role, predictor: BoundaryPredictor | None = None) -> Voice:
    """A role bound to its engine: asks what it can do, finds the dialect, and compares it with the model's template.

    Raises:
        DialectError: none fits.
        ModelError: a chat endpoint that is to go on from the beginning of a reply does not do it faithfully.
        EngineUnavailable: the engine does not answer.
    """
    can = await engine.capabilities()
    await engine.learn(antiphon.dialect.spellings(role.dialect, engine.chat_template))
    template, special = engine.chat_template, engine.special_tokens
    dialect = antiphon.dialect.load(
        role.dialect,
        template=template,
        has_control=(lambda token: engine.control_id(token) is not None) if can.ids else None,
        controls=engine.controls,
        special_tokens=special,
        model_name=engine.name,
    )
    if template is not None and dialect.follows_template:
        for difference in antiphon.dialect.differences(dialect, template, special)[:1]:
            raise DialectError(
                f"{engine.name}: the dialect {role.dialect!r} differs from the model's chat template in {difference}; "
                "choose the dialect auto or template, or a page of your own (docs/dialects.md)"
            )
    if can.renders:
        dialect = replace(dialect, next_turn=())  # of the wording of a prompt that is never sent
    await engine.rehearse(text_of(dialect.think_open))
    return Voice(
        role=author,
        engine=engine,
        dialect=dialect,
        sampling=role.sampling,
        context=role.context if can.context is None else min(can.context, role.context or can.context),
        has_ids=can.ids,
        slots=can.slots,
        continues=can.continues,
        predictor=predictor,
    )


def _require_whole_replies(settings: Settings, chosen: Method, voice: Voice) -> None:
    """Returns where the method takes whole replies of a voice that cannot go on from a prefix.

    Raises:
        ModelError, SettingsError: it goes on from the middle of one.
    """
    what = f"{voice.engine.name}: a chat endpoint cannot go on from the middle of a reply"
    if voice.role in chosen.continuing:
        fitting = ", ".join(
            method.name
            for method in METHODS.values()
            if voice.role in method.roles and voice.role not in method.continuing
        )
        raise ModelError(
            f"{what}, which the method {chosen.name} needs of the {voice.role}; give the address of a completion server"
            " (without /chat/completions), say how this one goes on (server.prefix), or choose one of the methods "
            f"{fitting}"
        )
    if settings.budget.on_budget == "close":
        raise SettingsError(f"budget.on_budget: {what}, so its thinking cannot be closed; set it to stop")


def budgets(settings: Settings, context: int | None) -> tuple[int, int]:
    """(thinking, answer): as set, or what the context of the answering model allows."""
    answer = settings.budget.answer
    if answer is None:
        answer = _ANSWER if context is None else min(_ANSWER, context // 3)
    return settings.budget.thinking or _THINKING, answer


def _require_room(answering: Voice, answer: int) -> None:
    context = answering.context
    if context is not None and context - answer < LEAST_THINKING:
        raise SettingsError(
            f"budget.answer: {answer} tokens leave no room for thinking in the context of {context} "
            f"of {answering.engine.name}; set a smaller one (--answer-budget)"
        )


def _rooms(score: Score) -> dict[Author, int | None]:
    """By role: of how many traces its engine keeps the prefixes at once. Where both roles are one model's, a trace has
    two."""
    voices = score.voices
    shared = len(score.method.roles) - len({id(voices[role].engine) for role in score.method.roles}) + 1
    slots = {role: voices[role].slots for role in score.method.roles}
    return {role: None if count is None else max(1, count // shared) for role, count in slots.items()}


def _remarks(settings: Settings, score: Score) -> list[str]:
    voices = [score.voices[role] for role in score.method.roles]
    remarks = [remark for engine in {id(v.engine): v.engine for v in voices}.values() for remark in engine.remarks]
    if len(voices) > len({id(voice.engine) for voice in voices}):
        remarks.append(f"{voices[0].engine.name} is teacher and student: the data will hold nothing that it lacks")
    for role, room in _rooms(score).items():
        if room is not None and room < settings.concurrency:
            name = score.voices[role].engine.name
            remarks.append(
                f"{name} keeps the prefixes of {many(room, 'trace')} at once, so no more are in flight, and not "
                f"{settings.concurrency}; start it with more slots (--parallel)"
            )
    return remarks
