from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import roma
import smplx
import torch

from zoo.mano import files
from zoo.mano.files import WrongHandFile
from zoo.mano.layer import ManoLayer
from zoo.mano.topology import mirror_points, mirror_rotvec

ARRAYS = [
    "v_template",
    "faces",
    "weights",
    "posedirs",
    "shapedirs",
    "joint_regressor",
    "parents",
    "hands_mean",
    "hands_components",
]


def mirrored(entries: dict) -> dict:
    """The left hand of an official dictionary."""
    flip = np.array([-1.0, 1, 1])
    turn = np.tile(np.outer(flip, flip).ravel(), 15)
    axis = np.tile([1.0, -1, -1], 15)
    return {
        **entries,
        "v_template": entries["v_template"] * flip,
        "f": entries["f"][:, ::-1],
        "shapedirs": entries["shapedirs"] * flip[:, None],
        "posedirs": entries["posedirs"] * flip[:, None] * turn,
        "hands_mean": entries["hands_mean"] * axis,
        "hands_components": entries["hands_components"] * axis,
    }


def test_an_official_pickle_gives_the_same_arrays(clayhand, official_entries, write_pickle):
    asset = files.load(write_pickle(official_entries))
    assert asset.name == "mano"
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(asset, field), getattr(clayhand, field))


def test_a_saved_hand_loads_as_it_was(clayhand, tmp_path):
    files.save(clayhand, tmp_path / "hand.npz")
    asset = files.load(tmp_path / "hand.npz")
    assert asset.name == "clayhand"
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(asset, field), getattr(clayhand, field))


def test_an_npz_in_smplx_s_names_loads(clayhand, official_entries, tmp_path):
    entries = {**official_entries, "J_regressor": official_entries["J_regressor"].toarray()}
    np.savez(tmp_path / "MANO_RIGHT.npz", **entries)
    asset = files.load(tmp_path / "MANO_RIGHT.npz")
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(asset, field), getattr(clayhand, field))


@pytest.mark.parametrize("hand", ["right", "left"])
def test_plain_smplx_opens_the_same_pickle_and_poses_it_alike(
    hand, clayhand, official_entries, write_pickle
):
    entries = official_entries if hand == "right" else mirrored(official_entries)
    path = write_pickle(entries, f"MANO_{hand.upper()}.pkl")
    model = smplx.MANO(str(path), use_pca=False, flat_hand_mean=True)
    assert model.is_rhand == (hand == "right")
    generator = torch.Generator().manual_seed(0)
    rotvec, betas = torch.randn(16, 3, generator=generator), torch.randn(1, 10, generator=generator)
    own = rotvec if hand == "right" else mirror_rotvec(rotvec)
    with torch.no_grad():
        pose = {"global_orient": own[:1], "hand_pose": own[1:].reshape(1, 45)}
        theirs = model(betas=betas, **pose).vertices
    ours, _ = ManoLayer(asset=clayhand)(roma.rotvec_to_rotmat(rotvec)[None], betas)
    ours = ours if hand == "right" else mirror_points(ours)
    torch.testing.assert_close(theirs, ours, atol=2e-6, rtol=0)


def test_the_left_hand_is_refused_by_what_it_is(official_entries, write_pickle):
    with pytest.raises(WrongHandFile, match=r"left hand.*MANO_RIGHT\.pkl"):
        files.load(write_pickle(mirrored(official_entries)))


def test_a_body_is_refused_by_what_it_is(official_entries, write_pickle):
    body = {**official_entries, "v_template": np.zeros((6890, 3))}
    with pytest.raises(WrongHandFile, match=r"\(6890, 3\).*\(778, 3\).*SMPL or SMPL\+H body"):
        files.load(write_pickle(body))


def test_a_missing_array_is_named_with_what_there_is(official_entries, write_pickle):
    entries = {key: value for key, value in official_entries.items() if key != "posedirs"}
    with pytest.raises(WrongHandFile, match=r"no 'posedirs'.*shapedirs"):
        files.load(write_pickle(entries))


def test_a_wrong_shape_is_named(official_entries, write_pickle):
    entries = {**official_entries, "shapedirs": official_entries["shapedirs"][..., :4]}
    with pytest.raises(WrongHandFile, match=r"'shapedirs' has shape \(778, 3, 4\)"):
        files.load(write_pickle(entries))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("weights", lambda a: a * 0.5, "do not sum to 1"),
        ("v_template", lambda a: a * np.nan, "not finite"),
        ("f", lambda a: a + 700, "not there"),
        ("kintree_table", lambda a: a[:, ::-1], "joints hang on"),
    ],
)
def test_nonsense_is_refused(key, change, message, official_entries, write_pickle):
    entries = {**official_entries, key: change(official_entries[key])}
    with pytest.raises(WrongHandFile, match=message):
        files.load(write_pickle(entries))


def test_a_truncated_pickle_is_refused_with_its_size(official_entries, write_pickle):
    path = write_pickle(official_entries)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WrongHandFile, match="cut short after 5000 bytes"):
        files.load(path)


def test_a_truncated_npz_is_refused(clayhand, tmp_path):
    path = tmp_path / "hand.npz"
    files.save(clayhand, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WrongHandFile, match=r"hand\.npz"):
        files.load(path)


def test_a_spoiled_npz_is_refused(clayhand, tmp_path):
    path = tmp_path / "hand.npz"
    files.save(clayhand, path)
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(WrongHandFile, match="damaged npz"):
        files.load(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x80\x02]q\x00."])
def test_what_is_no_hand_is_refused(content, tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(content)
    with pytest.raises(WrongHandFile, match=r"mano\.is\.tue\.mpg\.de"):
        files.load(path)


def test_an_npz_of_python_objects_is_refused(official_entries, tmp_path):
    np.savez(tmp_path / "hand.npz", J_regressor=np.array(official_entries, dtype=object))
    with pytest.raises(WrongHandFile, match=r"hand\.npz: "):
        files.load(tmp_path / "hand.npz")


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(WrongHandFile, match=r"no such file.*Register"):
        files.load(tmp_path / "MANO_RIGHT.pkl")


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MANO_DIR", raising=False)
    return tmp_path / "home"


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("inside", ["", "models", "mano", "mano_v1_2/models"])
def test_a_hand_is_found_in_a_named_folder_however_it_was_unpacked(inside, tmp_path, empty_home):
    file = put(tmp_path / "given" / inside / "MANO_RIGHT.pkl")
    assert files.find("mano", tmp_path / "given") == file
    assert files.find("mano", file) == file


def test_the_environment_comes_before_the_cache(tmp_path, empty_home, monkeypatch):
    cached = put(empty_home / ".cache/zoo/mano/MANO_RIGHT.pkl")
    assert files.find() == cached
    preferred = put(tmp_path / "env" / "MANO_RIGHT.pkl")
    monkeypatch.setenv("MANO_DIR", str(tmp_path / "env"))
    assert files.find() == preferred


def test_a_named_folder_is_never_replaced_by_another(tmp_path, empty_home):
    put(empty_home / ".cache/zoo/mano/MANO_RIGHT.pkl")
    with pytest.raises(WrongHandFile, match="elsewhere"):
        files.find("mano", tmp_path / "elsewhere")


def test_a_hand_that_is_nowhere_says_where_it_was_looked_for(empty_home, monkeypatch, tmp_path):
    monkeypatch.setenv("MANO_DIR", str(tmp_path / "env"))
    with pytest.raises(WrongHandFile, match=r"env, .*\.cache/zoo/mano.*'clayhand'"):
        files.find()


def test_the_hand_of_the_package_is_found_by_name(clayhand):
    asset = files.load(files.find("clayhand"))
    assert asset.name == "clayhand"
    for field in dataclasses.fields(asset):
        if field.name != "name":
            np.testing.assert_array_equal(getattr(asset, field.name), getattr(clayhand, field.name))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(WrongHandFile, match="'mano' and 'clayhand'"):
        files.find("nimble")


def test_the_archive_may_lie_anywhere(clayhand, tmp_path):
    copy = tmp_path / "elsewhere.npz"
    shutil.copyfile(files.find("clayhand"), copy)
    np.testing.assert_array_equal(files.load(copy).v_template, clayhand.v_template)
