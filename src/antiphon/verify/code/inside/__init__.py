"""What runs inside the sandbox: `candidate.py` with the answer's code, `checker.py` with the problem's tests.

Both use `values.py`. They are sent in as files, and import nothing of this package there.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from functools import cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path


@cache
def script_files(script: str, *, compiled: bool) -> tuple[str, Mapping[str, bytes]]:
    """The name that a script has inside, and the files that it takes.

    Args:
        script: `candidate` or `checker`.
        compiled: as this interpreter compiles them; to do it anew would take a fifth of the time of a short run.
    """
    files = {name: (Path(__file__).parent / name).read_bytes() for name in (f"{script}.py", "values.py")}
    if not compiled:
        return f"{script}.py", files
    without_source = MAGIC_NUMBER + bytes(12)
    made = {f"{name}c": without_source + marshal.dumps(compile(text, name, "exec")) for name, text in files.items()}
    return f"{script}.pyc", made
