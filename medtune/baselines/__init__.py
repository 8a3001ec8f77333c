"""Answers that need no training: the nearest training card, the fill-in rule, and training cards
shown before the question. Imports runtime, modeling and scoring. Used by the stages baselines and
evaluate, and by the app to find cards.
"""
