"""Turns raw files into records, which are question-answer cards: readers of tables and ontologies,
cleaning rules, personal data. Imports runtime and config; for the clean stage.
"""
