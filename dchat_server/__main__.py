"""`python -m dchat_server` is `dchat-server`."""

import sys

from dchat_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
