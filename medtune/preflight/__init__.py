"""Says before a long run whether its sources can be downloaded and its DVC remote used, how much
memory, disk and time it needs, and what to change if it does not fit. Imports runtime, config,
sources, modeling, training and generation. Used by commands.
"""
