"""Any text as HTML that shows it as text: nothing in it is obeyed, nothing of it is lost.

What cannot be seen or would move other text (control characters, bidirectional marks, lone surrogates) gets a mark
beside it. The text of the element, as a script or the clipboard has it, equals the text that was given; for NUL and
lone surrogates, which HTML cannot carry, `static/page.js` puts them in.
"""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup, escape

_UNSEEN = re.compile(
    "([\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f])\\1*"
)
_NEVER_IN_HTML = re.compile("[\0\ud800-\udfff]")


def name_of(character: str) -> str:
    """What stands for a character that cannot be seen: Unicode's control picture, or its code."""
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else f"U+{code:04X}"


def shown(text: str) -> Markup:
    """Text as HTML, what cannot be seen marked."""
    if not _UNSEEN.search(text):
        return escape(text)
    parts, done = [], 0
    for found in _UNSEEN.finditer(text):
        parts += [escape(text[done : found.start()]), _marked(found[1], len(found[0]))]
        done = found.end()
    return Markup("".join([*parts, escape(text[done:])]))


def _marked(character: str, times: int) -> str:
    name = name_of(character) + (f"×{times}" if times > 1 else "")
    if _NEVER_IN_HTML.match(character):
        return f'<span class="ctl" data-c="{name}" data-code="{ord(character)}" data-times="{times}"></span>'
    inside = "&#13;" * times if character == "\r" else character * times
    return f'<span class="ctl" data-c="{name}">{inside}</span>'


def plain(text: str) -> str:
    """Text for an attribute or a title: what cannot be seen is spelled out."""
    return _UNSEEN.sub(lambda found: name_of(found[1]) * min(len(found[0]), 3), text)


def as_json(value: Any) -> Markup:
    """JSON for a script element that is not run."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
