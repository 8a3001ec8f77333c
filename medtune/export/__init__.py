"""Takes results elsewhere: cards as CSV, JSON Lines, Parquet and a `datasets` folder. Imports what
it exports; for `medtune export`.
"""
