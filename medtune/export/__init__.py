"""Writes the cards for other programs, as CSV, JSON Lines, Parquet and a `datasets` folder. Imports
runtime, config, modeling and report; used by `medtune export`.
"""
