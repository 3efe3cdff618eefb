"""Numbers of things in words."""

from __future__ import annotations


def many(count: int, what: str) -> str:
    """A number of things: 1 trace, 2,000 traces."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
