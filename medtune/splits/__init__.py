"""Groups records that belong together, draws the splits, and finds the records that would leak from
one split into another. Imports runtime and config. Used by the stage split.
"""
