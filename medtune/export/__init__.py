"""Writes cards and the fine-tuned model for other programs: cards as CSV, JSON Lines, Parquet and a
`datasets` folder, the model as merged weights, GGUF or a Gradio Space. Uploads the model, in these
forms or as an adapter, to a hub. Imports runtime, config, modeling, generation and report. Used by
commands.
"""
