"""Executors on this machine: in this thread, in threads, in processes, as commands, on executors of others."""
