"""Checks a question before it is answered: is it outside medicine, an emergency, about a personal
dose? Contains the classifiers, the rules and the lists of questions behind both. Imports runtime
and content; used by the guard stage and the app.
"""
