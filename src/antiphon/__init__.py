"""Antiphon: fine-tuning data for reasoning models, written by teacher and student in turns."""
