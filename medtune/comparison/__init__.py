"""Compares two models' scores with paired statistics, as a whole and per kind, topic and length,
and decides whether a run is good enough. Imports runtime and scoring. Used by the compare stage
and the report.
"""
