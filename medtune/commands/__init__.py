"""The subcommands of `medtune`, one file each: a function whose parameters are its options.

Imports anything of medtune. Nothing of medtune imports it but the command line in __main__.
"""
