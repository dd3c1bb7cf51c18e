"""What all commands share: where they are added, and how they end."""

import argparse

Actions = argparse._SubParsersAction
ERROR_EXIT_CODE = 2
PIPED_WIDTH = 500  # a pipe has no width to fit into, and folded paths are hard to search
