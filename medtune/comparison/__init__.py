"""Compares the fine-tuned model with every other system by paired statistics, as a whole and per
kind, topic and length, on multiple-choice questions, and over seeds and numbers of cards; says the
verdict, and decides whether a run is good enough. Imports runtime and scoring. Used by report,
commands and the stage compare.
"""
