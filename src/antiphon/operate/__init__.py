"""Looking after things: the demo."""
