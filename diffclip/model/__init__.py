"""What DiffCLIP is: noise schedule, encoder, decoders, head, the whole."""
