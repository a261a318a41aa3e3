"""``python -m facecraft``."""

from facecraft.cli.app import main

main()
