"""The finished hand in millimetres, ready to be posed while its poses are being searched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.mano.procedural.collision import face_parts, may_touch, penetration
from zoo.mano.procedural.correctives import pose_correctives
from zoo.mano.procedural.pose_prior import PosePrior
from zoo.mano.procedural.postures import bare_prior
from zoo.mano.procedural.relax import RestMesh, rest_mesh
from zoo.mano.procedural.rig import pose, rest_joints, skin, skin_weights


@dataclass(frozen=True)
class Hand:
    """Rest mesh, rig and correctives of the mean shape; lengths in mm, wrist joint at zero."""

    mesh: RestMesh
    joints: np.ndarray  # (16, 3)
    weights: np.ndarray  # (778, 16)
    posedirs: np.ndarray  # (778, 3, 135)
    prior: PosePrior  # limits and axes; its pool may still be empty

    @classmethod
    def build(cls) -> Hand:
        """The hand of `anatomy`, about two seconds of work."""
        mesh, joints = rest_mesh(), rest_joints()
        weights = skin_weights(mesh)
        posedirs = pose_correctives(mesh.points, weights, joints)
        return cls(mesh, joints, weights, posedirs, bare_prior())

    @cached_property
    def bones(self) -> np.ndarray:
        """(778,) the joint each vertex follows most."""
        return self.weights.argmax(1)

    @cached_property
    def parts(self) -> np.ndarray:
        """(1538,) palm 0, digits 1 to 5."""
        return face_parts(self.weights, self.mesh.faces)

    def posed(self, angles: np.ndarray) -> np.ndarray:
        """Skin at joint angles (21,) deg: (778, 3) mm."""
        rotvec = self.prior.rotvec(angles[None]).reshape(15, 3)
        rotmats = np.concatenate((np.eye(3)[None], Rotation.from_rotvec(rotvec).as_matrix()))
        turn, _, shift = pose(self.joints, rotmats)
        offsets = self.posedirs.reshape(-1, 135) @ (rotmats[1:] - np.eye(3)).ravel()
        return skin(self.mesh.points + offsets.reshape(-1, 3), self.weights, turn, shift)

    def penetration(self, vertices: np.ndarray) -> np.ndarray:
        """(778,) mm each vertex of a posed skin sits inside another part of the hand."""
        return penetration(vertices, self.mesh.faces, self.bones, may_touch())
