"""Answers that need no training: the nearest training card, the fill-in rule, and training cards
shown to a model before the question. The chat searches cards by the same index. Imports runtime,
modeling and scoring. Used by the app and the stages baselines and evaluate.
"""
