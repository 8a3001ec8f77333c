"""Writes cards and the fine-tuned model for other programs: cards as CSV, JSON Lines, Parquet and
a `datasets` folder, the model as merged weights, GGUF or a Gradio Space; uploads models. Imports
runtime, config, modeling, generation (for the Space) and report; used by `medtune export` and
`medtune push`.
"""
