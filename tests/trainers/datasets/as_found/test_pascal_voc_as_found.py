"""Pascal VOC folders as people and their tools leave them, written by hand."""

from labelled_folders import picture
from published_folders import recognised

from trainers.datasets.records.reading import read_images


def test_pascal_voc_beside_its_images_and_in_the_devkit_is_the_same(tmp_path):
    xml = (
        "<annotation><folder>x</folder><filename>{0}.jpg</filename><object><name>cat</name><bndbox><xmax>30</xmax>"
        "<ymax>40</ymax><xmin>1</xmin><ymin>2</ymin></bndbox></object></annotation>"
    )
    for folder, where, beside in (("flat", "", ""), ("VOC2012", "Annotations", "JPEGImages")):
        for number in range(5):
            (tmp_path / folder / where).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / beside).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / where / f"{number}.xml").write_text(xml.format(number))
            (tmp_path / folder / beside / f"{number}.jpg").write_bytes(picture(number))
    boxes = []
    for folder in ("flat", "VOC2012"):
        opened = recognised(tmp_path / folder, "pascal_voc", tmp_path)
        parts = opened.parts.values()
        boxes.append({r.image: r.boxes.tolist() for part in parts for r in read_images(part.files)})
    assert boxes[0] == boxes[1]
    assert len(boxes[0]) == 5
