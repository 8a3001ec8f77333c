"""Judges a question before it is answered: outside medicine, an emergency, a personal dose. A
classifier, rules, and the lists of questions that both were made from. Imports runtime; for the
guard stage and the app.
"""
