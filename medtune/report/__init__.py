"""What people read of a run: the report page with its charts and tables, figures for papers, the
model card. Imports what it shows (runtime, config, modeling, scoring, comparison); for the
compare stage and the commands.
"""
