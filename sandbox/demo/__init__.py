"""The demo: the main job told in a terminal with real processes, each line checked."""
