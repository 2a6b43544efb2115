"""Small things that every room may use: numbers, text, arrays, files, processes, randomness."""
