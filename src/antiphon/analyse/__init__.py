"""What traces are like: their form, their likelihood under a model, what they cost; two or more sets side by side."""
