"""Scores what an answer says rather than how it is worded: content words, similarity of meaning by
a sentence encoder, which the guard shares, and facts right or wrong. Apart from scoring, so that a
change here makes no model answer again. Imports runtime and scoring. Used by guard, commands and
the stage compare.
"""
