"""Commands, one after the other, in an interpreter that may have the core's libraries only: `python -m tests.bare`.

Reads a JSON list of command lines, each a list of words, from standard input, and writes what came of each: a JSON list
of exit code, output, errors, traceback (or null). Two servers serve meanwhile; `{student}` and `{teacher}` in a word
are their addresses.
"""

from __future__ import annotations

import json
import sys
import traceback

from typer.testing import CliRunner

from antiphon.cli.app import app
from tests.operate.servers import TEACHER, LivelyVLLM, up

if __name__ == "__main__":
    student, teacher = LivelyVLLM(pace=0), LivelyVLLM(TEACHER, name="teacher", pace=0)
    told = []
    with up(student, teacher):
        for words in json.load(sys.stdin):
            line = [word.format(student=student.url, teacher=teacher.url) for word in words]
            done = CliRunner().invoke(app, line)
            fault = None
            if done.exc_info is not None and not isinstance(done.exception, SystemExit | None):
                fault = "".join(traceback.format_exception(*done.exc_info))
            told.append((done.exit_code, done.stdout, done.stderr, fault))
    json.dump(told, sys.stdout)
