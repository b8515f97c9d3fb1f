"""Nuclei in and out of files; :mod:`reading` and :mod:`writing` choose by the file's ending."""
