"""Published contracts: test classes that every storage, executor and strategy must pass, ours and yours."""
