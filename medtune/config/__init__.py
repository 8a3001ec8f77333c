"""The parameters: the schema of params.yaml with the values that it allows, and the functions that
read and check the file, in which an error names the key, its value and the remedy. Imports runtime.
Used by cards, splits, modeling, training, generation, scoring, report, preflight, export, commands,
the app and all stages.
"""
