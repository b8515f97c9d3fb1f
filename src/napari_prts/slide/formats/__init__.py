"""Readers of slide files, one kind a module; :mod:`readers` chooses by what a file begins with."""
