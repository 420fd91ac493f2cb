"""`python -m kworkspace.hub` is `kworkspace-hub`."""

from kworkspace.hub.app import main

if __name__ == "__main__":
    main()
