"""Changes that are made once, however often ``apply`` is run: in a database, in a file, at a web service.

Each module has one way to make sure of it. See docs/how-to/effects.md.
"""
