"""What dvc.lock records of the outputs: compares the files in the workspace and in DVC's cache with
it, and mends a dvc.lock that was cut off. Hashes are DVC's: MD5 of a file, or of a folder's list.
Imports runtime. Used by commands.
"""
