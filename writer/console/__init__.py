"""The console: what operators do, as pages. Thin: each act is one of `writer.operations`."""
