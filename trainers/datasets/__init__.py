"""Labelled images: every format in, checked, converted into TFRecord files that a trainer reads."""
