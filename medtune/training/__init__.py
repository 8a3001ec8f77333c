"""The training loop with its optimisers, schedules, checkpoints and curves. Imports runtime, config
and modeling. Used by the train stage and the preflight.
"""
