from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from zoo.inference.sources import UnreadablePicture, folder_of_frames, pictures, read_picture

RNG = np.random.default_rng(0)


def save(path, size=(40, 60), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(image).save(path, **options)
    return image


def save_video(path, frames=5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()


def test_a_picture_taken_sideways_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    stored = save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), np.rot90(stored, -1))


def test_grey_transparent_and_deep_pictures_become_eight_bit_colour(tmp_path):
    Image.fromarray(np.full((4, 4), 90, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((4, 4, 4), 90, np.uint8), "RGBA").save(tmp_path / "clear.png")
    Image.fromarray(np.full((4, 4), 90 * 256 + 17, np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "clear", "deep"):
        image = read_picture(tmp_path / f"{name}.png")
        assert image.shape == (4, 4, 3)
        assert image.dtype == np.uint8
        assert (image == 90).all()


def test_a_truncated_jpeg_is_refused_and_not_filled_with_grey(tmp_path):
    save(tmp_path / "a.jpg", size=(200, 200))
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadablePicture, match=r"a\.jpg .*cut short"):
        read_picture(tmp_path / "a.jpg")


def test_what_is_no_picture_says_so(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadablePicture, match="is not a picture"):
        read_picture(tmp_path / "a.jpg")
    with pytest.raises(UnreadablePicture, match="0 bytes"):
        read_picture(tmp_path / "empty.jpg")
    with pytest.raises(UnreadablePicture, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(UnreadablePicture, match="does not exist"):
        read_picture(tmp_path / "none.jpg")


def test_a_folder_yields_its_readable_pictures_and_counts_the_others(tmp_path):
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    save(tmp_path / "deeper" / "a.png")
    (tmp_path / "bad.jpg").write_text("no picture")
    (tmp_path / "notes.txt").write_text("not looked at")
    skipped = []
    names = [picture.name for picture in pictures([tmp_path], skipped=skipped)]
    assert names == ["a", "b", "deeper_a"]
    assert [item.key for item in skipped] == ["bad.jpg"]
    assert "not a picture" in skipped[0].reason


def test_no_two_pictures_share_a_name(tmp_path):
    for folder in ("one", "two", "three"):
        save(tmp_path / folder / "a.png")
    paths = [tmp_path / folder / "a.png" for folder in ("one", "two", "three")]
    names = [picture.name for picture in pictures(paths, skipped=[])]
    assert names == ["a", "a_2", "a_3"]


def test_an_absent_path_is_refused_before_any_picture_is_read(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(UnreadablePicture, match="does not exist"):
        pictures([tmp_path / "a.png", tmp_path / "none.png"], skipped=[])


def test_a_video_yields_every_nth_frame_with_its_time(tmp_path):
    save_video(tmp_path / "wave.avi")
    found = list(pictures([tmp_path / "wave.avi"], skipped=[], every=2))
    assert [picture.name for picture in found] == ["wave_000000", "wave_000002", "wave_000004"]
    assert [picture.frame_index for picture in found] == [0, 2, 4]
    np.testing.assert_allclose([picture.time for picture in found], [0, 0.2, 0.4])
    levels = [picture.image.mean() for picture in found]
    np.testing.assert_allclose(levels, [0, 80, 160], atol=4)


def test_a_file_that_only_claims_to_be_a_video_is_skipped_with_a_reason(tmp_path):
    (tmp_path / "wave.mp4").write_text("no video")
    skipped = []
    assert list(pictures([tmp_path], skipped=skipped)) == []
    assert "cannot be opened as a video" in skipped[0].reason


def test_a_step_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="every is 0"):
        pictures([tmp_path], skipped=[], every=0)


def test_a_folder_taken_as_a_film_comes_in_the_order_of_its_numbers_film_after_film(tmp_path):
    root = tmp_path / "walk"
    for name in ("10.png", "2.png", "a/1.png", "b.png"):
        save(root / name)
    save_video(root / "3.avi", frames=2)
    found = list(pictures([root], skipped=[], films=True))
    assert [(picture.film, picture.name, picture.frame_index) for picture in found] == [
        ("walk", "2", 0),
        ("walk", "10", 1),
        ("walk", "b", 2),
        ("3", "3_000000", 0),
        ("3", "3_000001", 1),
        ("a", "a_1", 0),
    ]


def test_a_damaged_frame_leaves_its_place_in_the_film_empty(tmp_path):
    for number in (1, 2, 3):
        save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_text("no picture")
    found = list(pictures([tmp_path], skipped=[], films=True))
    assert [picture.frame_index for picture in found] == [0, 2]


def test_films_of_one_name_are_told_apart_and_single_pictures_are_no_film(tmp_path):
    save(tmp_path / "one" / "walk" / "1.png")
    save(tmp_path / "two" / "walk" / "1.png")
    save(tmp_path / "walk.png")
    paths = [tmp_path / "one" / "walk", tmp_path / "two" / "walk", tmp_path / "walk.png"]
    films = [picture.film for picture in pictures(paths, skipped=[], films=True)]
    assert films == ["walk", "walk_2", None]
    assert {picture.film for picture in pictures(paths, skipped=[])} == {None}


def test_the_folder_that_needs_a_frame_rate_is_found(tmp_path):
    save_video(tmp_path / "wave.avi")
    save(tmp_path / "beside.png")
    (tmp_path / "films").mkdir()
    (tmp_path / "wave.avi").rename(tmp_path / "films" / "wave.avi")
    assert folder_of_frames([tmp_path / "films", tmp_path / "beside.png"]) is None
    save(tmp_path / "films" / "deep" / "1.png")
    assert folder_of_frames([tmp_path / "films"]) == tmp_path / "films" / "deep"
