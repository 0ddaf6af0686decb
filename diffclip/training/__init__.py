"""How DiffCLIP learns: stage 1 (pretraining), stage 2 (fine-tuning), inference; and its method."""
