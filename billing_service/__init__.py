"""The operator's shell: thin, synchronous, with the import paths of the operations guide."""
