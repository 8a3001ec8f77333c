"""Downloads what a source URI names (a Python package, a hub repository, a web address, a local
path) and converts models to the one form that medtune loads. Imports runtime; for the download
stage and the preflight.
"""
