"""Run a study: ask, run on an executor, tell, within a budget; and show it."""
