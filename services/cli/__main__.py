"""`python -m services.cli`, and the entry point of the `spendgate` command."""

from services.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
