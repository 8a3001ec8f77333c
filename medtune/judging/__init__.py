"""Asks another language model which of two answers is better, in both orders, and counts what it
says; and reads the votes of people in the chat's blind test. Imports runtime. Used by the commands
`medtune judge` and `medtune votes` and by the chat; no stage of the pipeline reads it.
"""
