"""The model and everything that goes into it: loading, adapters, prompts and chat templates, token
files, batches, forward passes that are fast and agree with the model's own, losses, and work
divided between processes. Imports runtime and config. Used by training, generation, scoring,
baselines, preflight, export, commands, the app and the stages evaluate, tokenize and train.
"""
