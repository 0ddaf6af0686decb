"""What shall be run: the study config, its cells, and where each file lies. Nothing here imports torch."""
