"""The preflight: says before a long run whether its sources are within reach, what memory, disk and
time it needs, and what to change where it does not fit. Imports runtime, config, sources and
modeling; for `medtune check`.
"""
