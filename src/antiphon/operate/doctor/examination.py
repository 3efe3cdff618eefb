"""The order of the checks, and what becomes of a server on which one cannot be made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from antiphon.engine import models
from antiphon.engine.base import Engine
from antiphon.engine.http.faults import Fault
from antiphon.errors import AntiphonError, EngineUnavailable, SettingsError
from antiphon.operate.doctor import cache, connection, flow, language
from antiphon.operate.doctor.rehearsal import rehearse
from antiphon.operate.doctor.report import Chart, Finding, Grade, Report, failure, ok, warning
from antiphon.operate.doctor.subject import Subject
from antiphon.settings import Role, Settings
from antiphon.synth.cast import EngineOpener, find_voice
from antiphon.synth.methods import method
from antiphon.trace import Author

Check = Callable[[Subject], Awaitable[Finding]]
Hear = Callable[[Chart, Finding], None]

AT_FIRST: tuple[tuple[str, Check], ...] = (
    ("reachable", connection.reachable),
    ("version", connection.version),
    ("model", connection.model),
    ("context", connection.context),
    ("ids", connection.ids),
    ("slots", connection.slots),
)
SPEAKING: tuple[tuple[str, Check], ...] = (
    ("template", language.template),
    ("markers", language.markers),
    ("sampling", language.sampling),
)
WRITING: tuple[tuple[str, Check], ...] = (
    ("stream", flow.stream),
    ("abort", flow.abort),
    ("prefix cache", cache.cache),
    ("scoring", connection.scoring),
    ("clock", flow.clock),
)

_PATIENCE, _RETRIES = 60.0, 1  # seconds without a byte, tries again: a doctor does not wait as a run does


async def examine(
    settings: Settings,
    *,
    open_engine: EngineOpener = models.open_engine,
    hear: Hear = lambda chart, finding: None,
) -> Report:
    """Looks at every server of the roles that are named, then writes one short trace as a run would.

    Args:
        open_engine: gives the engine for a model's name.
        hear: told each finding as it is made.

    Raises:
        SettingsError: no model is named, or a method that there is not.
    """
    report = Report()
    settings = _for_roles(settings)
    continues = True
    for author, role in _seats(settings):
        chart = Chart(author.value, models.shown(role.model or ""))
        report.charts.append(chart)
        subject = await _Examination(chart, hear).of(author, role, settings, open_engine)
        continues = continues and subject is not None and subject.can.continues
    works, together = report.works, Chart("together")
    report.charts.append(together)
    examination = _Examination(together, hear)
    if (same := _same_model(report.charts)) is not None:
        examination.note("models", same)
    if works:
        finding, report.problem, report.trace = await rehearse(settings, close=continues, open_engine=open_engine)
        examination.note("trace", finding)
    return report


class _Examination:
    """Fills one chart."""

    def __init__(self, chart: Chart, hear: Hear):
        self._chart = chart
        self._hear = hear

    def note(self, name: str, finding: Finding) -> None:
        finding = replace(finding, check=name)
        self._chart.findings.append(finding)
        self._hear(self._chart, finding)

    async def of(self, author: Author, role: Role, settings: Settings, open_engine: EngineOpener) -> Subject | None:
        """All checks of one server. Gives it, where it could be reached."""
        engine: Engine | None = None
        try:
            engine = open_engine(
                role.model, device=role.device, context=role.context, runs=role.runs, server=role.server
            )
            await models.start([engine])
            subject = Subject(author, role, settings, engine, await engine.capabilities())
        except AntiphonError as error:
            self.note("reachable", failure(str(error)))
            if engine is not None:
                await engine.close()
            return None
        try:
            await self._checks(subject)
        except EngineUnavailable as error:
            self.note("reachable", failure(f"it went away meanwhile: {error}"))
        finally:
            await engine.close()
        return subject

    async def _checks(self, subject: Subject) -> None:
        await self._each(AT_FIRST, subject)
        if not subject.can.continues or self._failed("ids"):
            return
        try:
            subject.voice = await find_voice(subject.author, subject.engine, subject.role)
        except AntiphonError as error:
            self.note("template", failure(str(error), f"choose another: {subject.author}.dialect (auto finds one)"))
        else:
            await self._each(SPEAKING, subject)
        await self._each(WRITING, subject)

    def _failed(self, check: str) -> bool:
        return any(each.check == check and each.grade is Grade.FAILURE for each in self._chart.findings)

    async def _each(self, checks: tuple[tuple[str, Check], ...], subject: Subject) -> None:
        for name, check in checks:
            try:
                finding = await check(subject)
            except EngineUnavailable:
                raise
            except (AntiphonError, Fault) as error:
                finding = failure(str(error))
            except (LookupError, TypeError, ValueError) as error:
                finding = failure(f"its reply has not the documented form ({type(error).__name__}: {error})")
            finally:
                await subject.let_go()
            self.note(name, finding)


def _for_roles(settings: Settings) -> Settings:
    """Where one model alone is named: with the method that needs no other."""
    named = [author for author in (Author.STUDENT, Author.TEACHER) if _role(settings, author).model is not None]
    if not named:
        raise SettingsError("which models? Give --student MODEL, --teacher MODEL or both, or a configuration")
    roles = method(settings.method).roles
    if len(named) == 2 or roles == tuple(named):
        return settings
    return settings.model_copy(update={"method": f"{named[0]}_only"})


def _role(settings: Settings, author: Author) -> Role:
    role: Role = getattr(settings, author.value)
    return role


def _seats(settings: Settings) -> Iterator[tuple[Author, Role]]:
    """Each server of each role."""
    for author in (Author.STUDENT, Author.TEACHER):
        role = _role(settings, author)
        if role.model is None:
            continue
        server = role.server.model_copy(
            update={"timeout": min(role.server.timeout, _PATIENCE), "retries": min(role.server.retries, _RETRIES)}
        )
        for address in role.model.split(",") if "://" in role.model else [role.model]:
            yield author, role.model_copy(update={"model": address.strip(), "server": server})


def _same_model(charts: list[Chart]) -> Finding | None:
    """Whether the two roles are two models; None where only one was seen."""
    seen: dict[str, str] = {}
    for chart in charts:
        for finding in chart.findings:
            if finding.check == "model":
                seen[chart.title] = finding.says
    if len(seen) < 2:
        return None
    student, teacher = seen["student"], seen["teacher"]
    if student == teacher:
        return warning(
            f"{student} is teacher and student: the data will hold nothing that it lacks",
            "name another model for one of the roles",
        )
    return ok(f"{student} learns from {teacher}")
