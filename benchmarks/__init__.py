"""How `hpo` compares with other optimizers, on public problems, by commands that anyone can run again.

`python -m benchmarks` lists the commands. Reading order: `problems`; `contenders`, `worker` and `process` (a contender in
a process of its own, perhaps in an environment of its own); `suites`, `run` and `schedule` (one run, many runs); `score`,
`compare` and `report`; `cost`.
"""
