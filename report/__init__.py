"""Tables, figures and statistics, made from the files of a study alone; run as `python -m report …`."""
