"""Where programs that models wrote are run: no network, a read-only system, nothing of this machine's own, limits."""

from antiphon.verify.sandbox.base import MIB, Completed, Limits, Program
from antiphon.verify.sandbox.pool import Sandbox

__all__ = ["MIB", "Completed", "Limits", "Program", "Sandbox"]
