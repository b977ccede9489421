"""RetinaNet as a family: a backbone, a neck and a head of the registered ones, which the recipe names."""

from __future__ import annotations

from trainers.model import Cost, register
from trainers.object_detection_api.pyramid.detector import PyramidDetector, default_proto

# 12 epochs, drops at 9 and 11, 500 of 7,500 steps of warm-up: the 1x schedule of mmdetection
SCHEDULE_1X = {
    "kind": "manual_step",
    "base": 1e-4,
    "warmup": True,
    "drops": [{"at": 0.067, "factor": 1.0}, {"at": 9 / 12, "factor": 0.1}, {"at": 11 / 12, "factor": 0.01}],
}

DETECTOR = register(
    PyramidDetector(
        name="retinanet_family",
        title="RetinaNet family (backbone, neck and head to choose)",
        proto=default_proto,
        published_at="the 1x schedule of mmdetection (12 epochs, drops at 9 and 11)",
        presets={
            "zoo": {
                "image_size": 640,
                "batch_size": 8,
                "steps": 7_500,
                "optimizer": {"kind": "adamw", "weight_decay": 0.05},
                "schedule": SCHEDULE_1X,
                "augmentations": [{"name": "random_horizontal_flip"}],
                "gradient_clip": 20.0,
                "weights": {"source": "zoo", "part": "classification"},
                "backbone": "resnet50",
                "box_loss": "l1",
                "batch_norm_decay": 0.997,
                "l2": 1e-06,
            },
            "laptop": {
                "image_size": 160,
                "batch_size": 2,
                "steps": 360,
                "optimizer": {"kind": "adamw", "weight_decay": 0.001},
                "schedule": {"kind": "cosine", "base": 0.001, "warmup_rate": 0.0001, "warmup": 0.05},
                "augmentations": [],
                "weights": {"source": "none"},
                "backbone": "resnet50",
                "batch_norm_decay": 0.9,
                "l2": 1e-05,
            },
        },
        cost=Cost(cpu_step_seconds=3.8, shared_part=0.95, parameters=37_000_000),
    )
)
