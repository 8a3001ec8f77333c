"""Scores answers: overlap, perplexity, repetition, numbers without support, and multiple-choice
questions with their calibration. Imports runtime and modeling. Used by evaluation, comparison and
report.
"""
