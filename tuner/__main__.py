"""`python -m tuner`: the same program as `tune`, whoever else installs a script of that name."""

from tuner.cli import main

if __name__ == "__main__":
    main()
