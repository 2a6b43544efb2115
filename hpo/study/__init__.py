"""Ask and tell: a study, its log, and what is done with whole studies."""
