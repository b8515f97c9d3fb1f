"""``python -m napari_prts`` is the command line."""

from napari_prts.cli import main

if __name__ == "__main__":
    main()
