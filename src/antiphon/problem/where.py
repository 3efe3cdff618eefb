"""Choosing problems by an expression over their fields, as in `pass_rate < 0.5 and difficulty == "hard"`.

The language is a small part of Python: names of fields (`field.inner` for an object in a field, `id` for the problem's
id), numbers, texts, `True`, `False`, `None`, lists, comparisons, `in`, `and`, `or`, `not`. Nothing else is done.

A comparison with a field that a problem lacks, that is null, or that is of a kind that cannot be compared so, is
neither true nor false, as in SQL: `not` leaves it so, `or` and `and` go by their other side. A problem is chosen where
the whole is true. `is None` and `is not None` ask whether a field is there.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UsageError
from antiphon.problem.base import Problem

_LONGEST = 2_000  # characters; nesting is bounded by it, too

_Value = Callable[[Problem], Any]
_Truth = Callable[[Problem], bool | None]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda inside, whole: inside in whole,
    ast.NotIn: lambda inside, whole: inside not in whole,
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an expression chooses.

    Attributes:
        problems: those for which it is true, in their order.
        others: how many it is false for.
        undecided: how many it is neither for; they are not chosen.
        missing: of the fields that the expression names, how many problems lack each, where some do.
    """

    problems: list[Problem]
    others: int
    undecided: int
    missing: Counter[str]


def choose(problems: Iterable[Problem], expression: str) -> Chosen:
    """The problems for which an expression is true.

    Raises:
        UsageError: it is not such an expression, or names a field that no problem has.
    """
    where = Where(expression)
    all_problems = list(problems)
    verdicts = [where.holds(problem) for problem in all_problems]
    missing = Counter(name for problem in all_problems for name in where.names if _at(problem, name) is None)
    known = Counter(name for problem in all_problems for name in problem.metadata)
    for name in where.names:
        if all_problems and missing[name] == len(all_problems) and name.partition(".")[0] not in known:
            there = ", ".join(name for name, _ in known.most_common(12)) or "none"
            raise UsageError(f"where {expression!r}: no problem has a field {name!r}; there are: {there}")
    return Chosen(
        [problem for problem, verdict in zip(all_problems, verdicts, strict=True) if verdict],
        verdicts.count(False),
        verdicts.count(None),
        missing,
    )


class Where:
    """A compiled expression. `names` are the fields that it names, in their order.

    Raises:
        UsageError: it is not such an expression.
    """

    def __init__(self, expression: str):
        self._expression = expression
        self._names: dict[str, None] = {}
        if len(expression) > _LONGEST:
            raise UsageError(f"where: the expression is longer than {_LONGEST:,} characters")
        try:
            self._truth = self._truth_of(ast.parse(expression.strip(), mode="eval").body)
        except UsageError:
            raise
        except SyntaxError as error:
            raise UsageError(
                f"where {expression!r}: not an expression ({error.msg} at character {error.offset}); "
                'write it as in: pass_rate < 0.5 and difficulty == "hard"'
            ) from None
        except (RecursionError, MemoryError, ValueError):
            raise UsageError(f"where {expression[:60]!r}: cannot be read; write it simpler") from None
        self.names = tuple(self._names)

    def holds(self, problem: Problem) -> bool | None:
        """Whether it is true of a problem; None where that cannot be said, as a field is missing."""
        return self._truth(problem)

    def _truth_of(self, node: ast.expr) -> _Truth:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return _all([self._truth_of(value) for value in values])
            case ast.BoolOp(op=ast.Or(), values=values):
                return _not(_all([_not(self._truth_of(value)) for value in values]))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _not(self._truth_of(operand))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                sides = [left, *rights]
                pairs = zip(sides, ops, sides[1:], strict=False)
                return _all([self._comparison(*pair) for pair in pairs])
            case _:
                value = self._value_of(node)
                return lambda problem: None if (found := value(problem)) is None else bool(found)

    def _comparison(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> _Truth:
        if isinstance(how, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._refused(right, "only None can stand after `is`")
            value, wanted = self._value_of(left), isinstance(how, ast.Is)
            return lambda problem: (value(problem) is None) is wanted
        if any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)):
            raise self._refused(right, "write `is None` or `is not None`")
        first, second, compare = self._value_of(left), self._value_of(right), _COMPARISONS[type(how)]

        def truth(problem: Problem) -> bool | None:
            a, b = first(problem), second(problem)
            if a is None or b is None:
                return None
            try:
                return bool(compare(a, b))
            except TypeError:
                return None

        return truth

    def _value_of(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=str() | bool() | int() | float() | None as constant):
                return lambda problem: constant
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return lambda problem: -number
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                values = [self._value_of(item) for item in items]
                return lambda problem: [value(problem) for value in values]
            case ast.Name() | ast.Attribute():
                name = self._name_of(node)
                self._names[name] = None
                return lambda problem: _at(problem, name)
            case ast.BoolOp() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return self._truth_of(node)
        raise self._refused(node, "only fields, numbers, texts, lists, comparisons, in, and, or, not are known")

    def _name_of(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=inner, attr=name):
                return f"{self._name_of(inner)}.{name}"
        raise self._refused(node, "a dot stands between the names of fields only")

    def _refused(self, node: ast.expr, reason: str) -> UsageError:
        return UsageError(f"where {self._expression!r}: {ast.unparse(node)!r} is not understood: {reason}")


def _at(problem: Problem, name: str) -> Any:
    """A field's value, None where it is missing."""
    if name == "id":
        return problem.id
    value: Any = problem.metadata
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _not(truth: _Truth) -> _Truth:
    return lambda problem: None if (known := truth(problem)) is None else not known


def _all(truths: list[_Truth]) -> _Truth:
    """False where one is, else unknown where one is, else true."""

    def truth(problem: Problem) -> bool | None:
        known = [one(problem) for one in truths]
        return False if False in known else None if None in known else True

    return truth
