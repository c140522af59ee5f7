"""Our metrics and the published protocols, against numbers recorded from the original scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import HandMesh, HandTarget
from zoo.metrics import official
from zoo.metrics.joints import MPJPE, PAMPJPE, RTE, RootMPJPE, distances, from_wrist
from zoo.metrics.pck import AUC, pck_curve
from zoo.metrics.summary import measure, summarize
from zoo.metrics.vertices import MPVPE, FScore, RootMPVPE

ORACLES = Path(__file__).parents[1] / "oracles"
OFFICIAL = np.load(ORACLES / "metrics_official.npz")
CSVIT2 = np.load(ORACLES / "csvit2_metrics.npz")
HAMER = np.load(ORACLES / "hamer_metrics.npz")


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(OFFICIAL[name]))


def hands_of(joints, label, vertices=None, label_vertices=None) -> tuple[HandMesh, HandTarget]:
    hands = len(joints)
    nothing = torch.zeros(hands, 21, 2)
    vertices = torch.zeros(hands, 1, 3) if vertices is None else vertices
    target = HandTarget(
        rotmats=torch.eye(3).expand(hands, 16, 3, 3),
        betas=torch.zeros(hands, 10),
        has_mano=torch.ones(hands),
        joints=label,
        joints_valid=torch.ones(label.shape[:2]),
        keypoints=nothing,
        keypoints_valid=torch.zeros(hands, 21),
        has_intrinsics=torch.ones(hands),
        vertices=label_vertices,
        vertices_valid=None if label_vertices is None else torch.ones(hands),
    )
    return HandMesh(vertices, joints, nothing), target


def all_hands() -> tuple[torch.Tensor, torch.Tensor]:
    return recorded("in/pred_xyz"), recorded("in/gt_xyz")


def close(value, expected, tolerance=1e-9):
    assert float(value) == pytest.approx(float(expected), abs=tolerance)


def test_freihand_joint_scores():
    joints, label = all_hands()
    scores = official.ho3d(joints, joints, label, label)  # the joints stand in for a mesh
    for ours, theirs in {
        "xyz_mean3d_cm": "freihand/mano/xyz_mean3d_cm",
        "xyz_auc3d": "freihand/mano/xyz_auc3d",
        "xyz_al_mean3d_cm": "freihand/mano/xyz_al_mean3d_cm",
        "xyz_al_auc3d": "freihand/mano/xyz_al_auc3d",
        "xyz_sc_tr_al_mean3d_cm": "ho3d/mano/xyz_sc_tr_al_mean3d_cm",
        "xyz_sc_tr_al_auc3d": "ho3d/mano/xyz_sc_tr_al_auc3d",
    }.items():
        close(scores[ours], recorded(theirs))
    close(scores["mesh_al_auc3d"], recorded("freihand/mano/xyz_al_auc3d"))


def test_freihand_curves():
    joints, label = all_hands()
    thresholds = torch.linspace(0, 0.05, 100, dtype=torch.float64)
    for points, name in (
        (joints, "xyz_pck"),
        (official.procrustes_with_reflection(joints, label), "xyz_al_pck"),
    ):
        errors = (points - label).norm(dim=-1)
        curve = pck_curve(errors, torch.ones_like(errors), thresholds)
        torch.testing.assert_close(curve, recorded(f"freihand/mano/{name}"))


def test_freihand_alignment_and_f_scores_of_surfaces():
    vertices, label = recorded("in/pred_verts"), recorded("in/gt_verts")
    aligned = official.procrustes_with_reflection(vertices, label)
    torch.testing.assert_close(
        aligned[:, ::7], recorded("freihand/align_w_scale_verts_every7"), rtol=0, atol=1e-9
    )
    joints, label_joints = (part[:4] for part in all_hands())
    scores = official.freihand(joints, vertices, label_joints, label)
    for mm in (5, 15):
        for ours, theirs in (("f_score", "fscore_raw"), ("f_al_score", "fscore_al")):
            close(scores[f"{ours}_{mm}"], recorded(f"freihand/{theirs}_{mm}")[:4, 0].mean())


def test_our_unaligned_f_score_and_auc_are_freihands():
    vertices, label = recorded("in/pred_verts"), recorded("in/gt_verts")
    joints, label_joints = all_hands()
    mesh, target = hands_of(joints[:4], label_joints[:4], vertices, label)
    for mm in (5, 15):
        values, _ = FScore(threshold_mm=mm)(mesh, target)
        torch.testing.assert_close(values, recorded(f"freihand/fscore_raw_{mm}")[:4, 0])
    values, _ = AUC()(*hands_of(joints, label_joints))
    close(values.mean(), recorded("freihand/mano/xyz_auc3d"))


def test_dexycb_scores():
    scores = official.dexycb(*all_hands())
    for variant in ("absolute", "root-relative", "procrustes"):
        ours = variant.replace("-", "_")
        # the labels went through float32 there
        close(scores[f"{ours}_mpjpe_mm"], recorded(f"dexycb/{variant}/mpjpe_mm"), 1e-6)
        close(scores[f"{ours}_auc"], recorded(f"dexycb/{variant}/auc"), 1e-6)


def test_hot3d_scores():
    joints, label = all_hands()
    scores = official.hot3d(joints[:, :19], label[:, :19])
    close(scores["mpjpe_mm"], recorded("hot3d/mpjpe_mm"))
    close(scores["pck_auc"], recorded("hot3d/pck_auc"))


def test_hint_pck():
    side, factor = recorded("hint/in/bbox_max_side"), recorded("hint/in/bbox_expand_factor")
    labelled = recorded("hint/in/orig_keypoints_2d").double()
    mirrored = recorded("hint/in/pred_keypoints_2d").double().clone()
    mirrored[..., 0] *= (2 * recorded("hint/in/right") - 1)[:, None]
    box = (side * factor)[:, None, None]
    keypoints = mirrored * box + recorded("hint/in/box_center")[:, None]
    scores = official.hint(keypoints, labelled[..., :2], labelled[..., 2], side)
    for ours, theirs in zip(scores.values(), recorded("hint/pck_avg"), strict=True):
        close(ours, theirs, 1e-12)


def interhand_joints(pixels_and_depth: torch.Tensor) -> torch.Tensor:
    """A prediction of the recorded network (64^3 heat map) as camera points, mm."""
    corner = pixels_and_depth[..., :2] / 64 * 256
    affine = recorded("interhand64/in/pred_inv_trans")
    pixels = corner @ affine[..., :2].mT + affine[:, None, :, 2]
    wrist = recorded("interhand64/in/abs_depth").repeat_interleave(21, dim=1)
    depth = (pixels_and_depth[..., 2] / 64 * 2 - 1) * 200 + wrist
    focal, center = (recorded(f"interhand64/in/{n}")[:, None] for n in ("focal", "princpt"))
    return torch.cat([(pixels - center) / focal * depth[..., None], depth[..., None]], dim=-1)


def test_interhand_errors_of_each_joint():
    joints = interhand_joints(recorded("interhand64/in/pred_joint_coord"))
    label, valid = recorded("interhand64/in/cam_coord"), recorded("interhand64/in/valid")
    errors = official.interhand(joints / 1000, label / 1000, valid)
    torch.testing.assert_close(
        errors, recorded("interhand64/mpjpe_all_per_joint"), rtol=0, atol=1e-6
    )
    close(errors.mean(), recorded("interhand64/mpjpe_all"), 1e-6)


def test_interhand_relative_wrists():
    wrists = [20, 41]
    said = recorded("interhand64/in/pred_joint_coord").clone()
    depth = recorded("interhand64/in/abs_depth")
    relative = (recorded("interhand64/in/pred_rel_root_depth")[:, 0] / 64 * 2 - 1) * 200
    # The left wrist hangs on the right one's depth there, so its own depth is taken back first.
    said[:, 41, 2] += (depth[:, 0] - depth[:, 1] + relative) / 400 * 64
    joints, label = (
        interhand_joints(said)[:, wrists],
        recorded("interhand64/in/cam_coord")[:, wrists],
    )
    both = (recorded("interhand64/in/hand_type") == 2) & (
        recorded("interhand64/in/valid")[:, wrists] > 0
    ).all(1)
    error = official.mrrpe(*joints[both].unbind(1), *label[both].unbind(1)) / 1000
    torch.testing.assert_close(error, recorded("interhand64/mrrpe_each"), rtol=0, atol=1e-6)


def test_arctic_errors_from_the_wrist():
    valid = recorded("arctic/in/valid") > 0
    errors = distances(*from_wrist(*hands_of(*all_hands())))
    expected = recorded("arctic/joint3d_error_m")
    torch.testing.assert_close(errors[valid], expected[valid])


def test_our_procrustes_is_hamers():
    joints, label = all_hands()
    values, _ = PAMPJPE()(*hands_of(joints, label))
    expected = recorded("hamer/pa_mpjpe_mm_det_plus1")
    known = expected.isfinite()  # a constant prediction is NaN there
    torch.testing.assert_close(values[known].float(), expected[known], rtol=0, atol=1e-4)
    assert values.isfinite().all()


def test_hamers_evaluator():
    joints = torch.from_numpy(HAMER["pred_keypoints_3d"])
    label = torch.from_numpy(HAMER["batch.keypoints_3d"])[..., :3]
    hands = hands_of(joints, label)
    for metric, name in ((RootMPJPE(), "mode_mpjpe"), (PAMPJPE(), "mode_re")):
        expected = torch.from_numpy(HAMER[f"all21.plain.per_sample.{name}"])
        torch.testing.assert_close(metric(*hands)[0].float(), expected.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("version", ["feb10", "head"])
def test_csvit2_batch_and_streaming_metrics(version):
    metrics = {"micro_mpjpe": MPJPE(), "micro_rte": RTE(), "micro_mpvpe": MPVPE()}
    names = [metric.name for metric in metrics.values()]
    scores = []
    for batch in ("batch0", "batch1"):
        hands = measure(metrics.values(), *csvit2_hands(batch))
        summary = summarize(hands, names)
        for theirs, metric in metrics.items():
            close(summary[metric.name], CSVIT2[f"{version}/{batch}/out_{theirs}"], 1e-4)
        scores += hands
    summary = summarize(scores, names)
    for theirs, metric in metrics.items():
        close(summary[metric.name], CSVIT2[f"{version}/streaming_two_batches/{theirs}"], 1e-4)


@pytest.mark.parametrize("version", ["feb10", "head"])
@pytest.mark.parametrize("batch", ["batch0", "batch1"])
def test_csvit2_wrist_relative_metrics(version, batch):
    mesh, target = csvit2_hands(batch)
    target.joints_valid[:] *= target.has_intrinsics[:, None]
    labels = target.joints_valid.sum()
    # Relative labels are stored there, so an unlabelled wrist does not stop them; the wrist's own
    # error is 0, so marking it changes the number of labels only.
    target.joints_valid[:, 0] = target.joints_valid.amax(1)
    values, counts = RootMPJPE()(mesh, target)
    total = (values.nan_to_num() * counts).sum()
    close(total / labels, CSVIT2[f"{version}/{batch}/out_micro_mpjpe_rel"], 1e-4)
    target.vertices_valid[:] *= target.has_intrinsics
    target.joints_valid[:, 0] = 1
    close(
        RootMPVPE()(mesh, target)[0].nanmean(),
        CSVIT2[f"{version}/{batch}/out_micro_mpvpe_rel"],
        1e-4,
    )


def csvit2_hands(batch: str) -> tuple[HandMesh, HandTarget]:
    def field(name: str) -> torch.Tensor:
        return torch.from_numpy(CSVIT2[f"feb10/{batch}/{name}"])[:, 0]

    mesh, target = hands_of(
        field("joint_cam_pred") / 1000,
        field("joint_cam_gt") / 1000,
        field("verts_cam_pred") / 1000,
        field("verts_cam_gt") / 1000,
    )
    target.joints_valid[:] = field("joint_valid")
    target.vertices_valid[:] = field("mano_valid")
    target.has_intrinsics[:] = field("norm_valid")
    return mesh, target
