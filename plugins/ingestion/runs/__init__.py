"""When a run begins, and what a person can ask of one."""
