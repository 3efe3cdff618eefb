"""How good a model is: whole replies to problems, judged, and the figures of that with how sure they are.

An evaluation is a run directory like any other: traces of the method `student_only` with verdicts hung on them. All
figures are computed from the record, so it resumes, and is shown and exported, as every run.
"""
