"""The small predictor that ships with the package, and others of its kind."""
