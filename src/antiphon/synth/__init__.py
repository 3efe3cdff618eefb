"""The method: `turn` is one turn, `duet` one trace, `run` many traces at once."""
