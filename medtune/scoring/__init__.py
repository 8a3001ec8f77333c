"""Scores answers: overlap, perplexity, repetition, numbers without support, further metrics of the
library evaluate, and multiple-choice questions with their calibration. Imports runtime, config and
modeling. Used by the evaluate stage, comparison and report.
"""
