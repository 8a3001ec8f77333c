"""Writes the cards for other programs, as CSV, JSON Lines, Parquet and a `datasets` folder. Imports
what it exports; used by `medtune export`.
"""
