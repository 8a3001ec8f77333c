"""The parameters: the schema of params.yaml and the only way to read it. Imports runtime;
everything may import it.
"""
