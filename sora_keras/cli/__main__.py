"""`python -m sora_keras.cli`, where the command is not on the path."""

import sys

from sora_keras.cli import main

if __name__ == "__main__":
    sys.exit(main())
