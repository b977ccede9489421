"""The catalogue of a source's images."""

from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.labelled_image import LabelledImage, Stored


def test_images_of_the_same_name_are_told_apart(tmp_path):
    with Catalogue(tmp_path / "catalogue") as catalogue:
        catalogue.add_all(LabelledImage("a.jpg", Stored(Path("a.jpg")), (), "x") for _ in range(3))
        names = [image.name for _, image in catalogue.numbered_images()]
    assert names == ["a.jpg", "a.jpg~2", "a.jpg~3"]
