"""Networks of the baselines; they import torch, so methods import them inside their hooks."""
