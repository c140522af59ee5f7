"""Stage 2 on videos and folders of frames, from the command's side."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from registry.whole import build_model, load
from zoo.app.clips.films import Films, Motion
from zoo.app.evaluation.predict import PredictRequest, predict_hands
from zoo.inference.boxes import HandBox
from zoo.inference.predictor import Predictor, frame_of
from zoo.inference.sources import Picture

FRAMES = 5
T = 3


@pytest.fixture(scope="module")
def changes(tiny_changes):
    small = ("model.temporal.num_heads=2", "model.temporal.head_dim=8", f"data.clip.frames={T}")
    return (*tiny_changes, *small, "model.temporal.zero_init=False")


@pytest.fixture(scope="module")
def model(changes):
    return build_model(load("csvit2_stage2", changes=changes))


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("stage2") / "iter_7.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"iter": 7}}, path)
    return path


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (FRAMES, 48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def video(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "wave.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for image in images:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "walk"
    path.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(path / f"{number + 8}.png"), image)  # 8, 9, 10: not in order as text
    return path


def ask(checkpoint, changes, paths, out, config="csvit2_stage2", **more) -> tuple[int, str]:
    shown = io.StringIO()
    request = PredictRequest(
        config, checkpoint, tuple(paths), out=out, changes=changes, size="tiny", **more
    )
    return predict_hands(request, Console(file=shown, width=300)), shown.getvalue()


def read(path):
    return json.loads(path.read_text())


def motion_of(joints) -> float:
    """mm/frame^2 of (N, 21, 3) m, written out."""
    hand = 1000 * (np.array(joints) - np.array(joints)[:, :1])[:, 1:]
    return np.linalg.norm(np.diff(hand, n=2, axis=0), axis=-1).mean()


def test_every_frame_of_a_video_says_both_stages_and_the_film_its_motion(
    checkpoint, changes, video, tmp_path
):
    count, shown = ask(checkpoint, changes, [video], tmp_path, boxes=("5,5,60,45",))
    assert count == FRAMES
    records = [read(tmp_path / f"wave_{number:06d}.json") for number in range(FRAMES)]
    for number, record in enumerate(records):
        assert record["source"]["clip"]["film"] == "wave"
        assert record["source"]["clip"]["frame"] == number
        earlier = record["source"]["clip"]["earlier_s"]
        np.testing.assert_allclose(earlier, [-0.2, -0.1][2 - min(number, 2) :], atol=1e-9)
        assert "Stage 1 alone" in record["raw"]["of"]
        assert np.abs(np.subtract(record["joints"], record["raw"]["joints"])).max() > 1e-5
        assert set(record["raw"]) - {"of"} < set(record)
        for ending in ("png", "obj", "glb"):
            assert (tmp_path / f"wave_{number:06d}.{ending}").is_file()
    said = read(tmp_path / "wave_motion.json")
    assert (said["frames"], said["runs_of_three"], said["seconds"]) == (FRAMES, FRAMES - 2, 0.4)
    motion = said["motion_mm_per_frame2"]
    assert motion["refined"] == pytest.approx(motion_of([r["joints"] for r in records]), abs=0.01)
    raw = motion_of([record["raw"]["joints"] for record in records])
    assert motion["raw"] == pytest.approx(raw, abs=0.01)
    assert "no error" in said["meaning"]
    assert f"motion {motion['refined']:.2f} mm/frame^2 refined, {motion['raw']:.2f} raw" in shown
    assert "no error" in shown


def test_a_folder_of_frames_is_one_film_at_the_rate_it_is_given(
    checkpoint, changes, folder, video, tmp_path
):
    boxes = ("5,5,60,45", "1,1,40,40")
    count, shown = ask(checkpoint, changes, [folder], tmp_path, fps=20.0, boxes=boxes)
    assert count == 2 * FRAMES
    for hand in (0, 1):
        record = read(tmp_path / f"10_hand{hand}.json")
        assert record["source"]["clip"]["frame"] == 2
        np.testing.assert_allclose(record["source"]["clip"]["earlier_s"], [-0.1, -0.05])
        assert read(tmp_path / f"walk_hand{hand}_motion.json")["frames"] == FRAMES
        assert f"walk_hand{hand}: {FRAMES} frames; motion" in shown
    first, second = (read(tmp_path / f"walk_hand{i}_motion.json") for i in (0, 1))
    assert first["motion_mm_per_frame2"] != second["motion_mm_per_frame2"]


def test_a_film_of_two_frames_has_no_motion_and_one_picture_is_no_film(
    checkpoint, changes, folder, video, tmp_path
):
    _, shown = ask(checkpoint, changes, [video], tmp_path / "few", every=3)
    said = read(tmp_path / "few" / "wave_motion.json")
    assert said["motion_mm_per_frame2"] == {"refined": None, "raw": None}
    assert "too few" in shown
    assert ask(checkpoint, changes, [folder / "8.png"], tmp_path / "one")[0] == 1
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        f"8.{ending}" for ending in ("png", "obj", "glb", "json")
    }


@pytest.mark.parametrize(
    ("fps", "says"), [(None, "add --fps"), (0.0, "above 0"), (float("nan"), "above 0")]
)
def test_a_folder_without_a_frame_rate_is_refused_before_anything_is_written(
    checkpoint, changes, folder, tmp_path, fps, says
):
    with pytest.raises(ValueError, match=says):
        ask(checkpoint, changes, [folder], tmp_path / "out", fps=fps)
    assert not (tmp_path / "out").exists()


def test_a_model_of_single_frames_takes_a_folder_as_pictures(model, tiny_changes, folder, tmp_path):
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("temporal.")}
    checkpoint = tmp_path / "iter_1.pth"
    torch.save({"state_dict": state, "meta": {"iter": 1}}, checkpoint)
    out = tmp_path / "out"
    count, shown = ask(checkpoint, tiny_changes, [folder], out, config="csvit2", fps=20.0)
    assert count == FRAMES
    record = read(out / "8.json")
    assert "raw" not in record
    assert set(record["source"]) == {"checkpoint", "steps", "picture"}
    assert not list(out.glob("*_motion.json"))
    assert "--fps changes nothing" in shown


def test_no_more_pictures_than_a_batch_are_held(model, images, tmp_path):
    read_so_far = []

    def film():
        for number in range(9):
            read_so_far.append(number)
            yield Picture(f"p{number}", images[0], tmp_path, number, number / 10, "film")

    predictor = Predictor(model=model, preprocess=model.data_preprocessor, batch_size=2)
    films = Films(predictor=predictor, clip_frames=T, out=tmp_path)

    def frames_of(picture):
        return [frame_of(picture.image, HandBox((5, 5, 60, 45)), name=picture.name)]

    ahead = []
    for answered, (picture, result) in enumerate(
        films.answers(film(), frames_of, Console(file=io.StringIO()))
    ):
        assert result.refined.name == picture.name == f"p{answered}"
        ahead.append(len(read_so_far) - answered)
    assert len(ahead) == 9
    assert max(ahead) <= 2


def test_motion_counts_runs_without_gaps_only():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 21, 3)) * 0.01
    motion = Motion()
    for frame in (0, 1, 2, 4, 5):
        motion.add(frame, points[frame])
    assert motion.count == 1
    assert motion.mean == pytest.approx(motion_of(points[:3]))
