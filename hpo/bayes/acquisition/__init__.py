"""What a candidate is worth."""
