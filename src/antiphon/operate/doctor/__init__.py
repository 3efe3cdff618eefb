"""What the servers of a run can do, whether they are spoken to rightly, and what to change: before money is spent."""

from __future__ import annotations

from antiphon.operate.doctor.examination import examine
from antiphon.operate.doctor.report import Chart, Finding, Grade, Report

__all__ = ["Chart", "Finding", "Grade", "Report", "examine"]
