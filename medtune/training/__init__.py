"""The training loop with its optimisers, checkpoints and curves. Imports runtime, config and
modeling. Used by the train stage and the preflight.
"""
