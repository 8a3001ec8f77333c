"""Scores answers: overlap with the reference, perplexity, repetition, numbers without support, and
further metrics of the library evaluate. Here are also the table of a system's answers, the names of
the systems, and the questions beside the cards: multiple-choice questions with their calibration,
and some outside medicine. Imports runtime, config and modeling. Used by content, baselines,
comparison, report, commands and the stages baselines, compare, evaluate and guard.
"""
