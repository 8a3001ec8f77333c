"""Turns raw files into records, which are question-answer cards: reads tables, conversations and
ontologies, repairs texts, names kinds and topics, finds duplicates and personal data, and spreads
such work over the cores. Imports runtime and config. Used by the stages clean and guard.
"""
