"""Checks a question, with those before it in a conversation, before it is answered: is it outside
medicine, an emergency, about a personal dose? Contains the classifiers, the rules and the lists of
questions behind both, the notices that readers see, and measures of how often the guard is right.
Imports runtime and content. Used by the app and the stage guard.
"""
