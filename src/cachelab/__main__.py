"""`python -m cachelab`."""

from cachelab.cli import main

if __name__ == "__main__":
    main()
