"""What the rivals around CLIP share: options, image features and their cache, class texts, optimisation."""
