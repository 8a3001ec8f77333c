"""Says before a long run what it will need: memory, disk, time, sources. Imports runtime, config,
sources and modeling; for `medtune check`.
"""
