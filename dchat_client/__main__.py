"""`python -m dchat_client` is `dchat`."""

from dchat_client.cli import main

if __name__ == "__main__":
    main()
