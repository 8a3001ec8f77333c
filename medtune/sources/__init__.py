"""Downloads what a source URI names (a Python package, a hub repository, a web address, a local
path) and converts models to the format that medtune loads. Imports runtime; used by the download
stage and the preflight.
"""
