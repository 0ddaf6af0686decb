"""The embedded CLIP: a small model of open_clip trained on simulated scenes, for machines without published weights."""
