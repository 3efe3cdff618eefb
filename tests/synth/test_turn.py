"""One turn's bookkeeping, by hand."""

from __future__ import annotations

from antiphon.boundary.base import Verdict
from antiphon.engine.base import Piece
from antiphon.synth.turn import Kept, Proposal


def test_a_word_is_settled_whole_or_not_at_all() -> None:
    """What is saved of a turn that is killed here must not hold half of a judged word without its verdict."""
    proposal = Proposal(style=True, start=0)
    proposal.receive([Piece(" so", (1,)), Piece(",", (2,)), Piece(".\n\n", (3,)), Piece("Okay", (4,))])
    first, second = Verdict(1, 5, True, 0.9), Verdict(7, 11, True, 0.9)
    proposal.judge([first])
    assert proposal.settle() == Kept()  # its last character stands in a token that goes on behind it
    proposal.judge([second])
    settled = proposal.settle()
    assert settled.text == " so,.\n\nOkay"
    assert settled.words == (first, second)
