"""What every stage stands on: errors that a user can mend, files that are replaced whole,
progress, and what a stage does around its work. Imports nothing else of medtune; everything may
import it.
"""
