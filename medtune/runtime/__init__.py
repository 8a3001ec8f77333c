"""What every stage builds on: errors that a user can fix, outputs that are replaced as a whole,
progress bars, and the logging and costs of a stage. Imports no other package of medtune;
everything may import it.
"""
