"""Generates the model's answers: the loop that answers many questions at a time, the choice of each
next token, key-value caches, OpenVINO and vLLM as other engines, and what of an answer is scored.
Imports runtime, config and modeling. Used by preflight, export, commands, the app and the stage
evaluate.
"""
