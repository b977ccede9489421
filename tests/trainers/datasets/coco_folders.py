"""Small COCO folders for tests."""

import json

from labelled_folders import picture

from trainers.datasets.records.reading import read_images


def coco(folder, images: list[dict], annotations: list[dict], names=("cat", "dog")):
    """A COCO file over 64x48 pictures; an image without a `number` of its own shows its id's picture."""
    folder.mkdir(exist_ok=True)
    listed = []
    for image in images:
        (folder / image["file_name"]).write_bytes(picture(image.pop("number", image["id"])))
        listed.append({"width": 64, "height": 48, **image})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    document = {"images": listed, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


def box(image_id: int, category: int = 1) -> dict:
    return {
        "id": image_id,
        "image_id": image_id,
        "category_id": category,
        "bbox": [4, 4, 20, 20],
        "iscrowd": 0,
    }


def names(part) -> set[str]:
    return {record.name for record in read_images(part.files)}
