"""Let ``python -m qpgaze.cli`` do what ``qpgaze`` does."""

from qpgaze.cli import main

main()
