"""The model and all that goes into it: loading, adapters, prompts, token files, batches, losses,
and one computation spread over several processes. Imports runtime and config; for everything
that runs a model or reads its tokens.
"""
