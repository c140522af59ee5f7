"""HaMeR on its released training tars, in its mixture.

The folder of the release is looked for here. It validates where HaMeR does, on a part of what it
trains on: name shards of your own with --val-data to know how good it is.
zoo train configs/hamer_tars.py
"""

from mmengine.config import read_base

with read_base():
    from .hamer import *

data.train.update(
    sources=dict(
        freihand=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/freihand-train/{000000..000130}.tar",
            weight=0.25,
            count=130240,
        ),
        interhand26m=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/interhand26m-train/{000000..001056}.tar",
            weight=0.25,
            count=1424632,
        ),
        mtc=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/mtc-train/{000000..000306}.tar",
            weight=0.1,
            count=363947,
        ),
        rhd=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/rhd-train/{000000..000041}.tar",
            weight=0.05,
            count=61705,
        ),
        cocow=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/cocow-train/{000000..000036}.tar",
            weight=0.1,
            count=78666,
        ),
        halpe=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/halpe-train/{000000..000022}.tar",
            weight=0.05,
            count=34289,
        ),
        mpiinzsl=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/mpiinzsl-train/{000000..000015}.tar",
            weight=0.05,
            count=15184,
        ),
        ho3d=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/ho3d-train/{000000..000083}.tar",
            weight=0.05,
            count=83325,
        ),
        h2o3d=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/h2o3d-train/{000000..000060}.tar",
            weight=0.05,
            count=121996,
        ),
        dexycb=dict(
            type="hamer_tars",
            shards="hamer_training_data/dataset_tars/dex-train/{000000..000406}.tar",
            weight=0.05,
            count=406888,
        ),
    ),
)
