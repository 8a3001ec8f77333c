"""Writes what people read about a run: the report page with its pictures and tables, and the model
card. Imports what it shows (runtime, config, scoring, comparison). Used by the compare stage and
the commands.

To add a picture, write a function in `figures` and name it in PICTURES; it then appears in the
report and in reports/figures/. To add a section, see SECTIONS in `page` and templates/sections/.
"""
