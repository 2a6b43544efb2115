"""What is to be solved: a space of parameters, and the metrics measured on it."""
