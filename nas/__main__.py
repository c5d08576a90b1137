"""``python -m nas``: the same as the console script ``nas``."""

from nas.cli import main

main()
