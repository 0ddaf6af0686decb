"""`python -m diffclip` is the command line `diffclip`."""

from diffclip.cli import main

main()
