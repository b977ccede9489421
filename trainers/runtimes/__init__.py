"""Runtimes other than TensorFlow that run an export's network; names of its outputs."""

RAW = (
    "raw_detection_boxes",
    "raw_detection_scores",
)  # outputs of an export whose suppression can be replaced
# output (M, 3), one row per box that suppression keeps: image, class index from 0, box; unused rows are -1
SELECTED = "chosen"
