from __future__ import annotations

import copy
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from zoo.mano import files
from zoo.mano.files import WrongHandFile
from zoo.mano.unpickler import BlockedPickle, read_arrays, read_npz, read_pickle


class Bomb:
    """Runs a function of the caller's choice when a careless reader unpickles it."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path, write_pickle):
    marker = tmp_path / "ran"
    path = write_pickle({"v_template": Bomb(exec, f"open({str(marker)!r}, 'w').close()")})
    with pytest.raises(WrongHandFile, match=r"exec.*nothing was run"):
        files.load(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # the bomb is real
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.multiarray", "frombuffer"),
        ("scipy.sparse", "load_npz"),
        ("scipy.sparse._csc", "np"),
        ("zoo.mano.unpickler", "io"),
        ("torch", "load"),
        ("pathlib", "PosixPath"),
    ],
)
def test_a_name_no_hand_needs_is_refused_by_name(module, name):
    content = f"c{module}\n{name}\n.".encode()
    with pytest.raises(BlockedPickle, match=f"{module}.{name}".replace(".", r"\.")):
        read_pickle(content)


def test_a_dotted_name_reaches_nothing_behind_an_allowed_module():
    content = b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.tofile.__c\x93."
    with pytest.raises(BlockedPickle, match="numpy"):
        read_pickle(content)


def test_an_object_of_any_other_class_is_refused():
    content = b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR."
    with pytest.raises(BlockedPickle, match="an object of"):
        read_pickle(content)


def test_a_hostile_state_cannot_reach_later_loads():
    spoil = b"cchumpy.ch\nCh\n(N}S'array'\nI1\nstb."
    with pytest.raises(Exception):  # noqa: B017, PT011 - however it fails
        read_pickle(spoil)
    with_chumpy = pickled_chumpy({"a": lambda ch: ch.Ch(np.ones(3))})
    np.testing.assert_array_equal(read_pickle(with_chumpy)["a"], np.ones(3))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3)),
        np.float64(3.5),
        np.array(7),
        np.array(["lbs"]),
    ],
    ids=["floats", "fortran", "scalar", "zero-dim", "text"],
)
def test_arrays_of_every_protocol_come_out_as_they_went_in(value, protocol):
    out = read_pickle(pickle.dumps({"a": value}, protocol))["a"]
    np.testing.assert_array_equal(out, value)
    assert np.asarray(out).dtype == value.dtype


@pytest.mark.parametrize("kind", [sp.csc_matrix, sp.csr_matrix, sp.csc_array, sp.csr_array])
def test_a_sparse_matrix_comes_out_dense(kind):
    dense = np.random.default_rng(0).random((16, 50)) * (
        np.random.default_rng(1).random((16, 50)) < 0.1
    )
    np.testing.assert_array_equal(read_pickle(pickle.dumps(kind(dense), 2)), dense)


def test_the_old_spellings_of_numpy_and_scipy_are_understood(clayhand, official_entries):
    content = pickle.dumps(official_entries, 2)
    for new, old in ((b"numpy._core", b"numpy.core"), (b"scipy.sparse._csc", b"scipy.sparse.csc")):
        content = content.replace(b"c" + new, b"c" + old)
    assert b"numpy._core" not in content
    assert b"scipy.sparse._csc" not in content
    out = read_pickle(content)
    np.testing.assert_array_equal(out["J_regressor"], clayhand.joint_regressor)


def pickled_chumpy(makers: dict, plain: dict | None = None) -> bytes:
    """A pickle that names chumpy's classes, written while a stand-in for chumpy exists."""
    ch, reordering = types.ModuleType("chumpy.ch"), types.ModuleType("chumpy.reordering")

    class Ch:
        def __init__(self, x) -> None:
            self.x = x

    class Select:
        def __init__(self, a, idxs, preferred_shape) -> None:
            self.a, self.idxs, self.preferred_shape = a, idxs, preferred_shape

    class Add:
        def __init__(self, a, b) -> None:
            self.a, self.b = a, b

    for module, kind in ((ch, Ch), (reordering, Select), (ch, Add)):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    modules = {"chumpy": types.ModuleType("chumpy"), ch.__name__: ch}
    modules[reordering.__name__] = reordering
    sys.modules.update(modules)
    try:
        parts = types.SimpleNamespace(Ch=Ch, Select=Select, Add=Add)
        made = {key: make(parts) for key, make in makers.items()}
        return pickle.dumps({**(plain or {}), **made}, 2)
    finally:
        for name in modules:
            del sys.modules[name]


def test_a_hand_pickled_with_chumpy_loads_without_it(clayhand, official_entries, tmp_path):
    wide = np.zeros((778, 3, 20))
    wide[..., :10] = official_entries["shapedirs"]
    picked = np.arange(wide.size).reshape(wide.shape)[..., :10].ravel()
    makers = {
        "shapedirs": lambda ch: ch.Select(ch.Ch(wide), picked, (778, 3, 10)),
        "v_template": lambda ch: ch.Ch(official_entries["v_template"]),
    }
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickled_chumpy(makers, official_entries))
    with pytest.raises(ModuleNotFoundError, match="chumpy"):
        pickle.loads(path.read_bytes())
    asset = files.load(path)
    np.testing.assert_array_equal(asset.shapedirs, clayhand.shapedirs)
    np.testing.assert_array_equal(asset.v_template, clayhand.v_template)


def test_a_chumpy_expression_that_would_need_chumpy_is_named(tmp_path):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickled_chumpy({"v_template": lambda ch: ch.Add(ch.Ch(1), ch.Ch(2))}))
    with pytest.raises(WrongHandFile, match=r"unknown chumpy node with fields \['a', 'b'\]"):
        files.load(path)


def test_a_few_bytes_that_claim_gigabytes_are_refused_before_they_are_unpacked(tmp_path):
    matrix = sp.csc_matrix(np.eye(3))
    for name, value in (("_shape", (10**6, 10**6)), ("indptr", np.array([0, 1, 2, 10**9]))):
        broken = copy.copy(matrix)
        broken.__dict__[name] = value
        with pytest.raises(ValueError, match="not what its entries say"):
            read_pickle(pickle.dumps(broken, 2))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(1 << 10))
        archive.getinfo("x.npy").file_size = 5 << 30  # the directory claims it
    with pytest.raises(ValueError, match="5 GiB"):
        read_npz(tmp_path / "bomb.npz")


def test_arrays_and_plain_containers_are_all_that_labels_may_hold():
    value = {"a": [np.arange(3.0), ("x", 1, b"y")], "b": np.array({"c": np.float32(2)}, object)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = read_arrays(pickle.dumps(value, protocol=protocol))
        np.testing.assert_array_equal(found["a"][0], np.arange(3.0))
        assert found["a"][1] == ("x", 1, b"y")
        assert found["b"].item() == {"c": 2}
    with pytest.raises(BlockedPickle, match="scipy"):  # a hand's file may, a label may not
        read_arrays(pickle.dumps(sp.csc_matrix(np.eye(2))))


def test_an_npz_of_objects_is_read_as_data_and_never_runs(tmp_path):
    numbers = np.arange(4).reshape(2, 2)
    np.savez(tmp_path / "good.npz", names=np.array(["a", None], object), x=numbers)
    found = read_npz(tmp_path / "good.npz")
    assert found["names"].tolist() == ["a", None]
    np.testing.assert_array_equal(found["x"], numbers)
    marker = tmp_path / "ran"
    bomb = Bomb(exec, f"open({str(marker)!r}, 'w').close()")
    np.savez(tmp_path / "evil.npz", x=np.array([bomb], object))
    with pytest.raises(BlockedPickle, match="exec"):
        read_npz(tmp_path / "evil.npz")
    assert not marker.exists()
