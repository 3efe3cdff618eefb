"""Looking after things: the demo, the doctor, the bench."""
