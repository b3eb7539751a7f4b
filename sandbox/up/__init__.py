"""`make up`: the whole stack, kept until Ctrl-C, with a toy app in front of it."""
