"""Asks another language model which of two answers is better, in both orders, and counts what it
says. Reads the votes of people in the chat's blind test. Imports runtime. Used by commands and the
app.
"""
