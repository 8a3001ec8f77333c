"""What stages, commands and app share: one package for each idea.

The docstring of a package says what lives there.
"""
