"""`python -m edgecam`: the command line without its console script."""

from edgecam.cli import main

main()
