"""The executor on a simulated clock."""
