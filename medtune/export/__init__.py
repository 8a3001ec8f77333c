"""Writes cards and models for other programs, as files or as a Gradio Space, and uploads models.
Imports runtime, config, modeling, generation (for the Space) and report; used by `medtune export`
and `medtune push`.
"""
