"""Groups records that belong together, draws the splits, and proves that nothing leaks from one
into another. Imports runtime and config; used by the split stage.
"""
