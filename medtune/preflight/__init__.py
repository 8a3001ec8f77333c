"""The preflight: says before a long run whether its sources can be downloaded, how much memory,
disk and time it needs, and what to change if it does not fit. Imports runtime, config, sources,
modeling and training; used by `medtune check`.
"""
