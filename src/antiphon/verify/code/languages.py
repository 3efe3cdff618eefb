"""How programs are run, by language: one row for each, all of it commands."""

from __future__ import annotations

from dataclasses import dataclass

PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Language:
    """A language.

    Attributes:
        tags: how fences name it.
        source: the file that the program is put in.
        run: the command that runs it; `{python}` is the sandbox's interpreter.
        build: the command that makes `built` of the source; none where there is nothing to build.
        needs: the command that must be there, and the package that has it.
    """

    tags: tuple[str, ...]
    source: str
    run: tuple[str, ...]
    build: tuple[str, ...] = ()
    built: str = ""
    needs: tuple[str, str] = ("", "")


LANGUAGES = {
    PYTHON: Language(("python", "py", "python3", "py3"), "solution.py", ("{python}", "-B", "solution.py")),
    "c++": Language(
        ("cpp", "c++", "cc", "cxx", "cpp17", "cpp20"),
        "solution.cpp",
        ("./solution",),
        ("g++", "-std=c++20", "-O2", "-pipe", "-o", "solution", "solution.cpp"),
        "solution",
        ("g++", "g++"),
    ),
    "c": Language(
        ("c",),
        "solution.c",
        ("./solution",),
        ("gcc", "-O2", "-pipe", "-o", "solution", "solution.c", "-lm"),
        "solution",
        ("gcc", "gcc"),
    ),
    "java": Language(
        ("java",),
        "Main.java",
        ("java", "-XX:+UseSerialGC", "-Xss64m", "Main.java"),
        needs=("java", "default-jdk-headless"),
    ),
    "javascript": Language(
        ("javascript", "js", "node"), "solution.js", ("node", "solution.js"), needs=("node", "nodejs")
    ),
    "rust": Language(
        ("rust", "rs"),
        "solution.rs",
        ("./solution",),
        ("rustc", "-O", "-o", "solution", "solution.rs"),
        "solution",
        ("rustc", "rustc"),
    ),
    "go": Language(
        ("go", "golang"),
        "solution.go",
        ("./solution",),
        ("env", "GOCACHE=/tmp/cache", "GO111MODULE=off", "go", "build", "-o", "solution", "solution.go"),
        "solution",
        ("go", "golang-go"),
    ),
}


def language_of(tag: str) -> str | None:
    """The language that a fence's tag names; None: none that we know."""
    return next((name for name, language in LANGUAGES.items() if tag in language.tags), None)
