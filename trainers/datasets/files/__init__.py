"""The files of a source: finding them, the part that their folders state, reading JSON and writing images."""
