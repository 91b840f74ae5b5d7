"""`python -m pcn_cli` is `pcn`."""

from pcn_cli.cli.app import main

if __name__ == "__main__":
    main()
