from __future__ import annotations

import numpy as np
import pytest
import torch

from registry.whole import build_model, load
from zoo.contracts import ClipView
from zoo.inference.boxes import HandBox
from zoo.inference.films import FilmPredictor
from zoo.inference.predictor import Predictor, frame_of

T = 3
TIMES = [10.0, 10.1, 10.15, 10.4, 10.41, 10.5, 10.8]  # irregular, far from 0


def small_model(tiny_changes, *more):
    small = ("model.temporal.num_heads=2", "model.temporal.head_dim=8", f"data.clip.frames={T}")
    return build_model(load("csvit2_stage2", changes=(*tiny_changes, *small, *more))).eval()


@pytest.fixture(scope="module")
def model(tiny_changes):
    """A Stage 2 that is not at its start, where it would say what Stage 1 says."""
    return small_model(tiny_changes, "model.temporal.zero_init=False")


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (len(TIMES), 60, 80, 3), dtype=np.uint8)
    hand = HandBox((10, 5, 60, 55), "left")
    return [frame_of(image, hand, name=f"f{i}") for i, image in enumerate(images)]


def run(model, frames, times=TIMES, *, batch_size=16, stretch=16):
    predictor = Predictor(model=model, preprocess=model.data_preprocessor, batch_size=batch_size)
    film = FilmPredictor(predictor=predictor, clip_frames=T)
    pieces = range(0, len(frames), stretch)
    return [r for i in pieces for r in film(frames[i : i + stretch], times[i : i + stretch])]


def joints(results, which="refined"):
    return np.stack([getattr(result, which).joints for result in results])


@torch.no_grad()
def whole_clip_joints(model, frames, end):
    """The wrist-relative hand of one clip, all its frames encoded together by the whole model."""
    first = max(0, end + 1 - T)
    predictor = Predictor(model=model, preprocess=model.data_preprocessor)
    view = predictor.see(frames[first : end + 1])
    times = torch.tensor([TIMES[first : end + 1]], dtype=torch.float64)
    prediction = model(ClipView(frames=view, times=times - times[:, -1:]))
    last = view.map(lambda tensor: tensor[-1:])
    (result,) = predictor.results(frames[end : end + 1], last, prediction)
    return result.joints


@pytest.mark.parametrize(("batch_size", "stretch"), [(16, 16), (2, 16), (16, 1), (3, 5)])
def test_every_frame_is_refined_as_the_last_of_its_clip_however_the_film_is_cut(
    model, frames, batch_size, stretch
):
    results = run(model, frames, batch_size=batch_size, stretch=stretch)
    assert [result.refined.name for result in results] == [frame.key for frame in frames]
    assert [result.raw.name for result in results] == [frame.key for frame in frames]
    expected = [whole_clip_joints(model, frames, end) for end in range(len(frames))]
    np.testing.assert_allclose(joints(results), expected, atol=1e-5)


def test_the_raw_hand_is_what_stage_one_says_of_the_frame_alone(model, frames):
    results = run(model, frames)
    alone = Predictor(model=model, preprocess=model.data_preprocessor)(frames)
    np.testing.assert_allclose(
        joints(results, "raw"), [result.joints for result in alone], atol=1e-6
    )
    assert (np.abs(joints(results) - joints(results, "raw")).max((1, 2)) > 1e-4).all()


def test_an_untrained_stage_two_says_what_stage_one_says(tiny_changes, frames):
    results = run(small_model(tiny_changes), frames)
    np.testing.assert_allclose(joints(results), joints(results, "raw"), atol=1e-6)


def test_clips_are_shorter_at_the_start_and_know_their_times(model, frames):
    times = [result.times for result in run(model, frames, stretch=2)]
    assert [len(earlier) for earlier in times] == [0, 1, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(times[3], (-0.3, -0.25))


def test_only_differences_of_time_count_and_they_do(model, frames):
    said = joints(run(model, frames))
    later = joints(run(model, frames, [time + 1000 for time in TIMES]))
    slower = joints(run(model, frames, [2 * time for time in TIMES]))
    np.testing.assert_allclose(later, said, atol=1e-6)
    assert np.abs(slower - said)[1:].max() > 1e-5
    np.testing.assert_allclose(slower[0], said[0], atol=1e-6)


def test_every_frame_is_encoded_once_in_batches_of_bounded_size(model, frames):
    seen = []
    handle = model.backbone.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    run(model, frames, batch_size=3, stretch=5)
    handle.remove()
    assert sum(seen) == len(frames)
    assert max(seen) <= 3


def test_no_more_than_the_last_tokens_are_kept(model, frames):
    film = FilmPredictor(
        predictor=Predictor(model=model, preprocess=model.data_preprocessor), clip_frames=T
    )
    film(frames, TIMES)
    assert len(film.tokens) == len(film.times) == T - 1
    assert film.tokens.untyped_storage().nbytes() == film.tokens.nbytes


def test_frames_that_do_not_go_forward_in_time_are_refused(model, frames):
    with pytest.raises(ValueError, match=r"f0: times .* do not go forward"):
        run(model, frames[:2], [0.1, 0.1])
