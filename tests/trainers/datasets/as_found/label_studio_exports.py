"""Exports as Label Studio writes them."""

import json

from labelled_folders import picture

from trainers.datasets.records.reading import read_images


def pixels(opened) -> list[tuple]:
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    return [tuple(row) for record in records for row in record.pixel_boxes().round(2).tolist()]


VALUE = {"x": 15.625, "y": 20.833333, "width": 46.875, "height": 41.666667, "rotation": 0}
RESULTS = {
    "rectangle": ({**VALUE, "rectanglelabels": ["car"]}, (10, 10, 30, 40)),
    "turned": (
        {"x": 50, "y": 25, "width": 25, "height": 25, "rotation": 90, "rectanglelabels": ["car"]},
        (12, 20, 28, 32),
    ),
    "polygon": (
        {"points": [[15.625, 25], [62.5, 20.833333], [50, 62.5]], "polygonlabels": ["car"]},
        (10, 10, 30, 40),
    ),
    "ellipse": (
        {"x": 39.0625, "y": 41.666667, "radiusX": 23.4375, "radiusY": 20.833333, "ellipselabels": ["car"]},
        (10, 10, 30, 40),
    ),
    "turned ellipse": (
        {
            "x": 39.0625,
            "y": 41.666667,
            "radiusX": 23.4375,
            "radiusY": 20.833333,
            "rotation": 45,
            "ellipselabels": ["car"],
        },
        (7.25, 12.25, 32.75, 37.75),
    ),
}


def result(value: dict) -> dict:
    kind = next(key for key in value if key.endswith("labels"))
    return {"original_width": 64, "original_height": 48, "image_rotation": 0, "value": value, "id": "a1",
            "from_name": "label", "to_name": "image", "type": kind, "origin": "manual"}  # fmt: skip


def studio(folder, results: list[list[dict]], path="/data/upload/1/1234abcd-{}.jpg", disk="images/{}.jpg"):
    tasks = []
    for number, some in enumerate(results):
        (folder / disk.format(number)).parent.mkdir(parents=True, exist_ok=True)
        (folder / disk.format(number)).write_bytes(picture(number))
        done = [{"id": number, "was_cancelled": False, "ground_truth": False, "result": some}]
        tasks.append(
            {"id": number, "annotations": done, "predictions": [], "data": {"image": path.format(number)}}
        )
    (folder / "project-1.json").write_text(json.dumps(tasks))
    return folder
