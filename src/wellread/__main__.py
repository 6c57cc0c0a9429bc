"""`python -m wellread`, which is the command line."""

from wellread.cli.main import main

main()
