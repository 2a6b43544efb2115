"""How `hpo` compares with other optimizers, on public problems, by commands that anyone can run again.

`python -m benchmarks` lists the commands. Reading order: `problems`, `contenders`, `worker` and `process` (a contender
in a process of its own), `race` (one run, many runs), `score`, `report`.
"""
