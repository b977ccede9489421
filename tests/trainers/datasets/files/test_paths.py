"""File names in labels never lead out of the source's folder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets.files.paths import UnsafePath, safe_join


@given(st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_file_name_leads_out_of_its_folder(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp()
    try:
        path = safe_join(root, name)
    except UnsafePath:
        return
    assert path.resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "C:\\a", "..\\a", "a\0b", "\\\\server\\a", "//a"]
)
def test_names_that_would_lead_out_are_refused(tmp_path, name):
    with pytest.raises(UnsafePath):
        safe_join(tmp_path, name)
