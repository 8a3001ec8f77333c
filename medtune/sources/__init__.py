"""Brings what a source URI names (a Python package, a hub repository, a web address, a local path,
random weights) into a folder, complete and checked, and converts models to the format that medtune
loads. Imports runtime. Used by preflight and the stage download.
"""
