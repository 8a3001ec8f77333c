"""What people read of a run: the report page with its pictures and tables, and the model card.
Imports what it shows (runtime, config, modeling, scoring, comparison); for the compare stage and
the commands.

To add a picture, see `figures`: a function and a line in PICTURES put it into the report and into
reports/figures/. To add a section, see SECTIONS in `page` and templates/sections/.
"""
