"""The mutants of a file, for `scripts/mutants`: small changes of one place each.

Comparisons, boundaries, arithmetic, `and` and `or`, conditions, `not`, numbers one up and down, short texts, defaults,
statements left out, what is returned, `break` and `continue`. None of annotations, imports, assertions, patterns, what
is raised or logged, texts with a space, f-strings and `__repr__`.
"""

from __future__ import annotations

import ast
import copy
from types import CodeType
from typing import Any, NamedTuple

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Mod: (ast.Mult,),
    ast.FloorDiv: (ast.Div,), ast.Pow: (ast.Mult,), ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
    ast.BitOr: (ast.BitAnd,), ast.BitAnd: (ast.BitOr,),
}  # fmt: skip


class Mutant(NamedTuple):
    """Bytes `start` to `end` of a file of the package, replaced."""

    path: str
    lines: tuple[int, int]  # where it is, and where its statement begins
    operator: str
    start: int
    end: int
    new: str

    def applied(self, source: bytes) -> bytes:
        """The file with it."""
        return source[: self.start] + self.new.encode() + source[self.end :]


class Finder(ast.NodeVisitor):
    """All mutants of one file."""

    def __init__(self, path: str, source: bytes):
        self.found: list[Mutant] = []
        self._path, self._lines = path, [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._statement, self._default = 0, False
        self.visit(ast.parse(source))

    def _add(self, node: Any, operator: str, new: ast.AST | str) -> None:
        if isinstance(new, ast.AST):
            new = f"({ast.unparse(new)})"
        start = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        where = (node.lineno, self._statement)
        self.found.append(Mutant(self._path, where, "default" if self._default else operator, start, end, new))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._statement = node.lineno
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.pattern):
            return
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            self._negate(node.test)
        super().visit(node)

    def _negate(self, condition: ast.expr) -> None:
        """Not where another operator does the same."""
        compared = isinstance(condition, ast.Compare) and len(SWAPS[type(condition.ops[0])]) == 1
        if not compared and not (isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)):
            self._add(condition, "condition", ast.UnaryOp(ast.Not(), condition))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "__repr__":
            return
        self._default = True
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        self._default = False
        for statement in node.body:
            self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or "_log." in ast.unparse(node.value):
            return  # a docstring, a message
        self._add(node, "statement", "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "statement", "pass")

    def visit_Delete(self, node: ast.Delete) -> None:
        self._add(node, "statement", "pass")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._add(node, "return", "return None")
            self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self._add(node, "loop", "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._add(node, "loop", "break")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "statement", "pass")
        for other in SWAPS.get(type(node.op), ()):
            changed = ast.unparse(ast.AugAssign(node.target, other(), node.value))
            self._add(node, "arithmetic", changed)
        self.visit(node.value)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, op in enumerate(node.ops):
            for other in SWAPS[type(op)]:
                changed = copy.copy(node)
                changed.ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                self._add(node, "comparison", changed)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._add(node, "boolean", ast.BoolOp(SWAPS[type(node.op)][0](), node.values))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not any(map(_no_number, (node.left, node.right))):
            for other in SWAPS.get(type(node.op), ()):
                self._add(node, "arithmetic", ast.BinOp(node.left, other(), node.right))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node, "not", node.operand)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.value, ast.Name) or node.value.id not in ("Literal", "dict", "list", "set", "tuple"):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id.endswith(("Error", "TypeVar")):
            return
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add(node, "constant", repr(not value))
        elif isinstance(value, int | float):
            for other in (value + 1, value - 1):
                self._add(node, "constant", repr(other))
        elif isinstance(value, str) and " " not in value.strip():
            self._add(node, "string", repr(f"XX{value}XX"))


def _no_number(side: ast.expr) -> bool:
    """Whether it is a text, whose sums would only raise, or the None of a type."""
    constant = isinstance(side, ast.Constant) and not isinstance(side.value, int | float)
    return constant or isinstance(side, ast.JoinedStr)


def bare(code: CodeType) -> CodeType:
    """The code without its places in the file."""
    constants = tuple(bare(item) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_consts=constants, co_linetable=b"", co_firstlineno=1, co_filename="")
