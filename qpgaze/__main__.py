"""Let ``python -m qpgaze`` do what ``qpgaze`` does."""

from qpgaze.cli import main

main()
