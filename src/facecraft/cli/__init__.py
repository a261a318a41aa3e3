"""The terminal and nothing else: commands, flags, what is printed and how a run ends."""
