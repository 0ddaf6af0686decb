"""What every method obeys: splits, tasks, the method contract, evaluation, metrics and records."""
