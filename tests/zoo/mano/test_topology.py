from __future__ import annotations

import roma
import torch

from zoo.mano.topology import (
    BONES,
    FINGERS,
    JOINT_NAMES,
    MANO_FROM_OPENPOSE,
    OPENPOSE_FROM_MANO,
    PARENTS,
    ROTATION_NAMES,
    TIP_DEFINITIONS,
    hand_scale,
    mirror_points,
    mirror_rotmats,
    mirror_rotvec,
)


def test_the_gather_table_sends_every_joint_to_its_namesake():
    native = (*ROTATION_NAMES, *(f"{finger}_tip" for finger in FINGERS))
    assert tuple(native[k] for k in OPENPOSE_FROM_MANO) == JOINT_NAMES
    assert sorted(OPENPOSE_FROM_MANO) == list(range(21))


def test_the_two_orders_undo_each_other():
    assert all(OPENPOSE_FROM_MANO[MANO_FROM_OPENPOSE[k]] == k for k in range(16))


def test_a_rotation_s_parent_is_the_wrist_or_the_joint_before_it_on_the_finger():
    for name, parent in zip(ROTATION_NAMES[1:], PARENTS[1:], strict=True):
        finger, place = name[:-1], int(name[-1])
        expected = "wrist" if place == 1 else f"{finger}{place - 1}"
        assert ROTATION_NAMES[parent] == expected


def test_bones_run_from_the_wrist_to_every_tip():
    parent = {child: start for start, child in BONES}
    assert sorted(parent) == list(range(1, 21))
    for tip in (4, 8, 12, 16, 20):
        assert parent[parent[parent[parent[tip]]]] == 0


def test_every_tip_definition_names_five_vertices():
    for vertices in TIP_DEFINITIONS.values():
        assert len(set(vertices)) == 5
        assert max(vertices) < 778


def test_mirroring_a_rotation_mirrors_what_it_does():
    generator = torch.Generator().manual_seed(0)
    rotvec = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    points = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    rotmats = roma.rotvec_to_rotmat(rotvec)
    moved = (rotmats @ points[..., None])[..., 0]
    mirrored = (mirror_rotmats(rotmats) @ mirror_points(points)[..., None])[..., 0]
    torch.testing.assert_close(mirrored, mirror_points(moved))
    torch.testing.assert_close(
        roma.rotvec_to_rotmat(mirror_rotvec(rotvec)), mirror_rotmats(rotmats)
    )


def test_mirroring_twice_changes_nothing():
    rotvec = torch.randn(5, 16, 3, generator=torch.Generator().manual_seed(0))
    rotmats = roma.rotvec_to_rotmat(rotvec)
    assert torch.equal(mirror_rotvec(mirror_rotvec(rotvec)), rotvec)
    assert torch.equal(mirror_rotmats(mirror_rotmats(rotmats)), rotmats)


def test_hand_scale_sums_bones_not_distances_from_the_camera():
    joints = torch.zeros(1, 21, 3)
    joints[0, 9:13, 0] = torch.tensor([0.0, 0.04, 0.07, 0.09])
    torch.testing.assert_close(hand_scale(joints), torch.tensor([0.09]))
    torch.testing.assert_close(hand_scale(joints + 5), torch.tensor([0.09]), atol=1e-5, rtol=0)
