"""Re-ranking: steps that put the candidates of a search in a better order."""
