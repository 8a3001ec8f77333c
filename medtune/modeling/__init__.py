"""The model and everything that goes into it: loading, adapters, prompts, token files, batches and
losses, and work divided between processes. Imports runtime and config. Used by everything that
runs a model or reads its tokens.
"""
