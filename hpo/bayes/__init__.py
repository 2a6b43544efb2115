"""The engine: from a history to the next configurations, by Gaussian processes."""
