"""How a trace can be written: each method is a line of a table over the same pieces (docs/methods.md)."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.errors import SettingsError
from antiphon.trace import Author


@dataclass(frozen=True, slots=True)
class Method:
    """Who writes what. `thinking` by None: both in turns. `revision` grows when a method's text would come out
    otherwise, so that old and new data are never mixed in one variant."""

    name: str
    thinking: Author | None
    answer: Author
    says: str
    revision: int = 1

    @property
    def roles(self) -> tuple[Author, ...]:
        """The models it needs, the student first."""
        if self.thinking is None:
            return (Author.STUDENT, Author.TEACHER)
        return tuple(dict.fromkeys((self.answer, self.thinking)))


METHODS = {
    method.name: method
    for method in (
        Method("tessy", None, Author.STUDENT, "both think in turns, the student answers (the paper's method)"),
        Method("student_only", Author.STUDENT, Author.STUDENT, "the student alone"),
        Method("teacher_only", Author.TEACHER, Author.TEACHER, "the teacher alone"),
    )
}


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        SettingsError: there is none; the message lists them.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise SettingsError(f"there is no method {name!r}; there are {', '.join(METHODS)}") from None
