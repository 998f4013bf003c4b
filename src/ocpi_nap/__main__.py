"""`python -m ocpi_nap` is the command line."""

from ocpi_nap.cli import main

main()
