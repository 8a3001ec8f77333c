"""Asks another language model which of two answers is better, in both orders, and counts what it
says. Imports runtime. Used by the command `medtune judge`; no stage of the pipeline reads it.
"""
