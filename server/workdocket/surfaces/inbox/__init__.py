"""The reviewer's web pages: a queue of what awaits a decision, one screen for each order, and boards.

Rendered here, whole; a script asks for parts of the same pages again when something moved. They work without it too.
"""
