"""The pages of one or more run directories, for a browser on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from antiphon.errors import AntiphonError, UsageError
from antiphon.trace import Key, Status
from antiphon.view import figures
from antiphon.view.asking import Asking
from antiphon.view.chosen import Chosen
from antiphon.view.comparing import Comparisons
from antiphon.view.guard import Guard
from antiphon.view.pages import STATIC, Links, page, static
from antiphon.view.runs import Choice, Run
from antiphon.view.sheet import looks_of

PER_PAGE = 50
SIDE_BY_SIDE = 4
"""How many traces of a problem are shown where none are named."""

Answer = Callable[[Any, Request], Response]
"""A method of `_Site`."""


def app(runs: Sequence[Run], *, token: str, port: int, comparisons: Comparisons | None = None) -> ASGIApp:
    """What answers requests: under the token only (`Guard`)."""
    site = _Site(runs, Links(f"/{token}"), comparisons or Comparisons())
    routes = [
        Route("/", site.runs_page),
        Route("/run/{run:int}", site.list_page),
        Route("/run/{run:int}/charts", site.charts_page),
        Route("/run/{run:int}/figures.json", site.figures_json),
        Route("/show", site.traces_page),
        Route("/compare", site.comparison_page),
        Route("/static/{name:path}", _static),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={404: site.no_page}), token=token, port=port)


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    return Response(static(name), media_type=STATIC[name])


def _explained(answer: Answer) -> Answer:
    """An answer that is a page about what is wrong where it cannot be given."""

    @wraps(answer)
    def explained(site: _Site, request: Request) -> Response:
        try:
            return answer(site, request)
        except UsageError as error:
            return site.page("message.html", title="That cannot be shown", text=str(error), status=404)
        except AntiphonError as error:
            return site.page("message.html", title="This run cannot be shown", text=str(error), status=503)

    return explained


class _Site:
    def __init__(self, runs: Sequence[Run], links: Links, comparisons: Comparisons):
        self._runs = runs
        self._links = links
        self._comparisons = comparisons

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """An answer with a page."""
        text = page(template, links=self._links, runs=self._runs, standalone=None, **({"run": None} | context))
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def no_page(self, request: Request, error: Exception) -> Response:
        """For addresses under the token that are no page's."""
        return self.page("message.html", title="There is no such page", text="Go back to the list.", status=404)

    @_explained
    def runs_page(self, request: Request) -> Response:
        if len(self._runs) == 1:
            return RedirectResponse(self._links.listing(0))
        return self.page("runs.html", states=[_State.of(run) for run in self._runs])

    @_explained
    def list_page(self, request: Request) -> Response:
        run, chosen = self._run(request), Chosen.read(_query(request))
        state = _State.of(run)
        if state.error:
            raise state.error
        with run.index() as index:
            listing = index.listing(chosen, PER_PAGE)
        variants = [variant.name for variant in run.reader.variants()]
        pages = max(1, -(-listing.problems // PER_PAGE))
        return self.page(
            "list.html", run=run, chosen=chosen, listing=listing, variants=variants, state=state, pages=pages
        )

    @_explained
    def charts_page(self, request: Request) -> Response:
        run = self._run(request)
        state = _State.of(run)
        if state.error:
            raise state.error
        with run.index() as index:
            return self.page(
                "charts.html", run=run, charts=figures.charts(index), variants=figures.variants(index), state=state
            )

    @_explained
    def figures_json(self, request: Request) -> Response:
        run = self._run(request)
        with run.index() as index:
            charts = figures.charts(index)
        counts = run.reader.counts()
        about = {"traces": sum(counts.values()), "pending": counts.get(None, 0)}
        return JSONResponse(about | {"charts": {chart.title: chart.for_script for chart in charts}})

    @_explained
    def traces_page(self, request: Request) -> Response:
        query = _query(request)
        problem = query.get("problem", [""])[-1]
        home = self._numbered(query.get("run", ["0"])[-1])
        named = [self._named(text) for text in query.get("trace", ())]
        found = [(run, facts) for run in self._runs for facts in self._of_problem(run, problem)]
        if not named:
            named = [(run, facts.variant, facts.sample) for run, facts in found][:SIDE_BY_SIDE]
        if not named:
            raise UsageError(f"there is no trace of a problem {problem!r} here")
        sheets = [sheet for run, variant, sample in named for sheet in run.sheets([Key(problem, variant, sample)])]
        places = {(run.number, variant, sample) for run, variant, sample in named}
        choices = [Choice(run, facts, (run.number, facts.variant, facts.sample) in places) for run, facts in found]
        with home.index() as index:
            before, after = index.beside(problem)
        asked = named[0][0].reader.problem(problem)
        return self.page(
            "show.html",
            run=home,
            problem=asked,
            sheets=sheets,
            looks=looks_of(sheets),
            choices=choices,
            before=before,
            after=after,
        )

    @_explained
    def comparison_page(self, request: Request) -> Response:
        query = _query(request)
        asking = Asking.read(self._runs, query, self._comparisons)
        if not asking.chosen:
            raise UsageError("no variant has begun in these runs yet; there is nothing to compare")
        if "anew" in query:
            self._comparisons.forget(asking.asked)
            return RedirectResponse(asking.address(self._links))
        about: dict[str, Any] = {"choices": asking.choices, "scores": asking.scores, "under": asking.under}
        about["run"] = self._runs[0] if len(self._runs) == 1 else None
        changes = tuple(variant.run.reader.change() for variant in asking.chosen)
        found = self._comparisons.get(asking.asked, changes)
        if found is None:
            return self.page("compare.html", status=202, made=None, **about)
        from antiphon.view.comparison import context  # numpy comes with it, which no other page needs

        told = context(found.comparison, lambda part: asking.link_of(self._links, part))
        anew = f"{asking.address(self._links)}&anew="
        return self.page("compare.html", changed=changes != found.changes, anew=anew, **about, **told)

    def _of_problem(self, run: Run, problem: str) -> list[Any]:
        with run.index() as index:
            return index.of_problem(problem)

    def _run(self, request: Request) -> Run:
        return self._numbered(str(request.path_params["run"]))

    def _numbered(self, number: str) -> Run:
        if not number.isdecimal() or int(number) >= len(self._runs):
            raise UsageError(f"there is no run {number} here; there are {len(self._runs)}")
        return self._runs[int(number)]

    def _named(self, text: str) -> tuple[Run, str, int]:
        """A trace as an address names it: run:variant:sample."""
        run, _, rest = text.partition(":")
        variant, _, sample = rest.rpartition(":")
        if not sample.isdecimal():
            raise UsageError(f"{text!r} names no trace; write run:variant:sample")
        return self._numbered(run), variant, int(sample)


class _State:
    """How a run stands: how many traces it has, how many of them the index knows, what is to be said of them."""

    def __init__(self, run: Run):
        self.run = run
        self.error: AntiphonError | None = None
        change = run.reader.change()
        with run.index() as index:
            totals = index.totals()
            if totals is not None and totals.change == change:
                self.counts = {Status(status) if status else None: count for status, count in totals.counts.items()}
                self.indexed = totals.traces
            else:
                self.counts = run.reader.counts()
                self.indexed = index.count()
        self.traces = sum(self.counts.values())
        self.pending = self.counts.get(None, 0)
        self.complete = self.counts.get(Status.COMPLETE, 0)
        self.causes = list(run.reader.causes().items())[:5] if self.traces and not self.complete else []

    @property
    def problems(self) -> int:
        """How many problems the run has."""
        return self.run.reader.problem_count()

    @classmethod
    def of(cls, run: Run) -> _State:
        """Its state; of one that cannot be read, why."""
        try:
            return cls(run)
        except AntiphonError as error:
            state = cls.__new__(cls)
            state.run, state.error = run, error
            return state


def _query(request: Request) -> dict[str, list[str]]:
    """What an address asks for. Unlike others' readers this one gives back whatever `Links` wrote.

    Raises:
        UsageError: it is no UTF-8.
    """
    try:
        return parse_qs(
            request.scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="surrogatepass",
            max_num_fields=200,
        )
    except ValueError:
        raise UsageError("the address is damaged: it holds bytes that are no text") from None
