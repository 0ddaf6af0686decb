"""What is said of a class: prompts, descriptions, tokens and text towers."""
