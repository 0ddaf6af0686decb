"""What a few runs can tell: intervals, paired comparisons, ranks over scenes; arrays in, numbers out.

Every resampling starts from the same seed, so that the same runs give the same numbers. docs/report.md has the formulas
and their sources.
"""
