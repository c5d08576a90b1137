"""Faces: each subject has a function that returns its figures and one that draws them for a terminal."""
