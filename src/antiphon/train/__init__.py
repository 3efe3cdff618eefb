"""Fine-tuning of a student on traces: what it would cost is said before, what it did is kept."""
