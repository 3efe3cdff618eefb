"""Is the answer right: one verifier per kind of answer, and the sandbox in which model-written code runs."""
