"""The training loop with its plan, optimisers, learning-rate schedules, early stopping, checkpoints
and curves, the trackers that curves are sent to, and what makes a step faster. Imports runtime,
config and modeling. Used by preflight and the stage train.
"""
