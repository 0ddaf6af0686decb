"""One file per rival; what several share begins with an underscore."""
