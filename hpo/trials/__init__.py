"""What is known: trials, the events they are made of, and their history."""
