"""Code as an answer: found in it, run in the sandbox, judged by the problem's tests."""

from antiphon.verify.code.verifier import CodeVerifier

__all__ = ["CodeVerifier"]
