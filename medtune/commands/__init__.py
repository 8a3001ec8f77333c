"""The subcommands of `medtune`: functions whose parameters are the options, which
`medtune/__main__.py` puts together. Beside them is what they share: help and one-line errors, the
experiments that DVC knows, and runs that differ in one parameter. Imports runtime, artifacts,
config, modeling, generation, scoring, content, comparison, report, preflight, export and judging.
Used by the app.
"""
