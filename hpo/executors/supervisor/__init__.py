"""Supervised processes: a supervisor for each slot starts workers, limits them, and ends whatever they leave behind."""
