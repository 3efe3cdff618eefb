"""How predictors are made and judged: marked texts, scores, annotators, training."""
