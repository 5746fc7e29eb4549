"""The steps of bootstrap.py. Standard library only, and no shell: the same code runs on Linux, macOS and Windows."""
