"""What all other packages build on. For stages: logging, progress bars, costs, outputs that are
replaced as a whole, and an end together with DVC. For all code: one-line errors that a user can
fix, also when memory runs out, checks of files that come from elsewhere, the place of a file in
DVC's cache, the text in the cells of tables, imports without packages that take seconds to load,
the refusal of Windows, and how the threads of torch wait. Imports no other package. Used by all
other packages, the app and all stages.
"""
