"""Images that were uploaded to Label Studio, which changes their names, and are here under their own."""

import pytest
from label_studio_exports import RESULTS, result, studio

from trainers.datasets import check

BOX = [result(RESULTS["rectangle"][0])]


@pytest.mark.parametrize(
    ("path", "disk"),
    [
        ("/data/upload/1/1234abcd-IMG_{}.jpg", "images/IMG ({}).jpg"),
        ("/data/upload/1/1234abcd-Straße_{}.jpg", "images/Straße {}.jpg"),
        ("/data/upload/1/1234abcd-Stra%C3%9Fe_{}.jpg", "day 1/Straße, {}.jpg"),
        ("/data/upload/1/1234abcd-a_b{}.jpg", "a_b{}.jpg"),
    ],
)
def test_an_uploaded_image_is_found_by_its_name_before_the_upload(tmp_path, path, disk):
    folder = studio(tmp_path / "studio", [BOX] * 4, path, disk)
    for source in (folder, folder / "project-1.json"):
        report = check(source)
        assert (report.images, report.counts, report.error) == (4, {}, None)


def test_two_images_with_one_name_after_the_upload_are_a_problem(tmp_path):
    folder = studio(
        tmp_path / "studio", [BOX] * 4, "/data/upload/1/1234abcd-IMG_{}.jpg", "images/IMG ({}).jpg"
    )
    (folder / "images" / "IMG 0.jpg").write_bytes((folder / "images" / "IMG (1).jpg").read_bytes())
    report = check(folder)
    assert sum(report.counts.values()) == report.affected == 1
    assert "images/IMG (0).jpg and images/IMG 0.jpg" in str(report.problems[0])


def test_a_name_that_was_not_uploaded_is_taken_as_it_is(tmp_path):
    folder = studio(tmp_path / "studio", [BOX] * 4, "street/IMG_{}.jpg", "images/IMG ({}).jpg")
    assert check(folder).counts == {"missing image": 4}


@pytest.mark.parametrize(
    "name",
    ["tour #1 & more/{}.jpg", "tour%20%231%20%26%20more/{}.jpg", "tour%20%231%20%26%20more/{}.jpg&fileuri=1"],
)
def test_a_local_file_is_found_whose_address_has_signs_that_are_not_encoded(tmp_path, name):
    path = "/data/local-files/?d=" + name
    for folder in ("tour #1 & more", "other"):
        studio(tmp_path / "studio", [BOX] * 4, path, folder + "/{}.jpg")
    assert check(tmp_path / "studio").counts == {}
