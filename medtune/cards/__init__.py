"""Turns raw files into records, which are question-answer cards: reads tables and ontologies,
cleans texts and finds personal data. Imports runtime and config; used by the clean stage.
"""
