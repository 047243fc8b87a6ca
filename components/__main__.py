"""`python -m components` is the command line `sequence`."""

from components.orchestrator import main

if __name__ == "__main__":
    raise SystemExit(main())
