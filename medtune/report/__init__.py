"""Writes what people read about a run: the report page with its pictures, tables and costs, the
points that DVC plots, and the model card. Imports runtime, config, scoring and comparison. Used by
export, commands and the stage compare.
"""
