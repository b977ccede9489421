from pathlib import Path

import pytest


@pytest.fixture
def raccoon() -> Path:
    folder = Path(__file__).parents[3].parent / "shared" / "data" / "raccoon"
    if not folder.is_dir():
        pytest.skip("the real photographs (../shared/data/raccoon) are not here")
    return folder
