"""The executor for Slurm: tasks are jobs, which outlive their driver."""
