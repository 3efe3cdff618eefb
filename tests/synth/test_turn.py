"""One turn's bookkeeping, by hand."""

from __future__ import annotations

from antiphon.boundary.base import Verdict
from antiphon.engine.base import Piece
from antiphon.synth.markers import Markers
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


def test_an_unfinished_word_is_looked_for_in_what_was_shown_alone() -> None:
    """Behind it stands what may become a marker, with a blank in it, and was never shown."""
    proposal = Proposal(style=False, start=10, markers=Markers(closing=("| Final answer",)))
    assert proposal.receive([Piece("so| Fin", (1,))]) == "so"
    assert proposal.drop_unfinished_word() == 10
