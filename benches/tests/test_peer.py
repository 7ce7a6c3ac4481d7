"""The plain server does what it is compared for."""

import io

import numpy as np
import pytest
from fastapi import HTTPException, UploadFile
from PIL import Image

import photos
from peer import server


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(photos.small("coffee")).resize((1500, 1000))


def _upload(image: Image.Image) -> UploadFile:
    file = io.BytesIO()
    image.save(file, "PNG")
    file.seek(0)
    return UploadFile(file)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_the_dilated_box_is_filled_and_all_else_kept(
    photo: Image.Image, format: server.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WITHOUT_MODEL", True)
    answer = server.inpaint(_upload(photo), x=300, y=200, w=90, h=70, dilation=8, format=format)
    before, after = np.asarray(photo), np.asarray(Image.open(io.BytesIO(answer.body)))
    box = np.zeros((1000, 1500), bool)
    box[192:278, 292:398] = True
    assert (after[~box] == before[~box]).all()
    assert (after[box] != before[box]).any(axis=1).mean() > 0.9
    assert "inpaint;dur=" in answer.headers["server-timing"]


def test_a_mask_is_filled_by_the_model(photo: Image.Image) -> None:
    mask = Image.new("L", photo.size)
    mask.paste(255, (300, 200, 330, 230))
    answer = server.inpaint(_upload(photo), mask=_upload(mask), dilation=0, format="png")
    before, after = np.asarray(photo), np.asarray(Image.open(io.BytesIO(answer.body)))
    filled = after[200:230, 300:330]
    assert (filled != before[200:230, 300:330]).any()
    assert len(np.unique(filled.reshape(-1, 3), axis=0)) > 10


def test_an_empty_mask_is_refused(photo: Image.Image) -> None:
    with pytest.raises(HTTPException, match="no pixels"):
        server.inpaint(_upload(photo))
