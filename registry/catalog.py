"""The zoo's table of contents: every name a config may use, and where it lives."""

from __future__ import annotations

from registry.slot import Slot

backbones = Slot(
    "backbone",
    {
        "dinov2": "zoo.backbones.dinov2:Dinov2",
        "dinov3": "zoo.backbones.dinov3:Dinov3",
        "hand_tokens": "zoo.backbones.hand_tokens:HandTokenViT",
        "swinv2": "zoo.backbones.swinv2:Swinv2",
        "timm_any": "zoo.backbones.timm_any:TimmViT",
        "utnet": "zoo.backbones.utnet:UTNetViT",
        "vit_mae": "zoo.backbones.vit_mae:ViTMAE",
        "vitpose": "zoo.backbones.vitpose:ViTPose",
    },
    protocol="zoo.contracts:Backbone",
)
necks = Slot(
    "neck",
    {
        "ray_attention": "zoo.necks.ray_attention:RayAttention",
        "ray_bias": "zoo.necks.ray_bias:RayBias",
        "layer_fusion": "zoo.necks.layer_fusion:LayerFusion",
    },
    protocol="zoo.contracts:Neck",
)
heads = Slot(
    "head",
    {
        "mano_decoder": "zoo.heads.mano_decoder:ManoDecoder",
        "vertex_refiner": "zoo.heads.vertex_refiner:VertexRefiner",
        "graph_refiner": "zoo.heads.graph_refiner:GraphRefiner",
    },
    protocol="zoo.contracts:Head",
)
cameras = Slot(
    "camera",
    {
        "heatmap": "zoo.heads.cameras.heatmap:HeatmapCamera",
        "metric": "zoo.heads.cameras.metric:MetricCamera",
        "depth_bins": "zoo.heads.cameras.depth_bins:DepthBinsCamera",
        "ray_distance": "zoo.heads.cameras.ray_distance:RayDistanceCamera",
        "weak_perspective": "zoo.heads.cameras.weak_perspective:WeakPerspectiveCamera",
        "utnet": "zoo.heads.cameras.utnet:UTNetCamera",
    },
    protocol="zoo.contracts:CameraReadout",
)
temporals = Slot(
    "temporal",
    {
        "rotary": "zoo.temporal.rotary:RotaryTimeEncoder",
    },
    protocol="zoo.contracts:Temporal",
)
losses = Slot(
    "loss",
    {
        "rotations": "zoo.losses.parameters:RotationLoss",
        "pose_numbers": "zoo.losses.parameters:PoseNumbersLoss",
        "betas": "zoo.losses.parameters:BetasLoss",
        "joints": "zoo.losses.joints:JointLoss",
        "root_joints": "zoo.losses.joints:RootRelativeJointLoss",
        "vertices": "zoo.losses.vertices:VertexLoss",
        "reprojection": "zoo.losses.reprojection:Reprojection",
        "heatmap": "zoo.losses.heatmap:HeatmapCrossEntropy",
        "crop_heatmap": "zoo.losses.crop_heatmap:CropHeatmapCrossEntropy",
        "distance_bins": "zoo.losses.distance_bins:DistanceBinLoss",
        "position": "zoo.losses.position:PositionLoss",
        "parameters": "zoo.losses.position:ParameterLoss",
        "adversarial": "zoo.losses.adversarial:AdversarialPrior",
        "coarse_hand": "zoo.losses.coarse:CoarseHandLoss",
        "shape_prior": "zoo.losses.coarse:ShapePrior",
        "ordered_joints": "zoo.losses.released_order:OrderedJointLoss",
        "ordered_reprojection": "zoo.losses.released_order:OrderedReprojection",
    },
    protocol="zoo.contracts:LossTerm",
)
view_augmentations = Slot(
    "view_augmentation",
    {
        "roll": "zoo.augment.perspective:Roll",
        "z_scale": "zoo.augment.perspective:ZScale",
        "focal_scale": "zoo.augment.perspective:FocalScale",
        "perspective_rotation": "zoo.augment.perspective:PerspectiveRotation",
        "principal_point": "zoo.augment.perspective:PrincipalPointNoise",
        "perspective_normalization": "zoo.augment.perspective:PerspectiveNormalization",
        "label_axes": "zoo.augment.label_axes:LabelAxes",
    },
    protocol="zoo.contracts:ViewAugmentation",
)
pixel_augmentations = Slot(
    "pixel_augmentation",
    {
        "color_jitter": "zoo.augment.pixels:ColorJitter",
        "channel_scale": "zoo.augment.pixels:ChannelScale",
        "noise": "zoo.augment.pixels:GaussianNoise",
        "blur": "zoo.augment.pixels:GaussianBlur",
        "motion_blur": "zoo.augment.pixels:MotionBlur",
        "sharpness": "zoo.augment.pixels:Sharpness",
        "grayscale": "zoo.augment.pixels:Grayscale",
        "equalize": "zoo.augment.pixels:Equalize",
        "posterize": "zoo.augment.pixels:Posterize",
        "erasing": "zoo.augment.pixels:Erasing",
    },
    protocol="zoo.contracts:PixelAugmentation",
)
crops = Slot(
    "crop",
    {
        "hand": "zoo.augment.crop:HandCrop",
        "moved_hand": "zoo.augment.moved_crop:MovedHandCrop",
    },
    protocol="",
)
datasets = Slot(
    "dataset",
    {
        "rendered": "zoo.data.synthetic.frames:RenderedFrames",
        "handclip": "zoo.data.sources:Handclip",
        "hamer_tars": "zoo.data.hamer_tars:HamerTars",
        "hamer_npz": "zoo.data.hamer_npz:HamerNpz",
    },
    protocol="",
)
converters = Slot(
    "converter",
    {
        "freihand": "zoo.data.converters.freihand:FreiHand",
        "freihand_coco": "zoo.data.converters.freihand_coco:FreiHandCoco",
        "ho3d": "zoo.data.converters.ho3d:HO3D",
        "dexycb": "zoo.data.converters.dexycb:DexYCB",
        "interhand26m": "zoo.data.converters.interhand26m:InterHand26M",
        "coco_wholebody": "zoo.data.converters.coco_wholebody:CocoWholeBody",
        "hamer": "zoo.data.converters.hamer:HamerTraining",
        "hamer_eval": "zoo.data.converters.hamer_eval:HamerEvaluation",
        "hint": "zoo.data.converters.hint:HInt",
        "hot3d": "zoo.data.converters.hot3d:Hot3D",
    },
    protocol="",
)
metrics = Slot(
    "metric",
    {
        "mpjpe": "zoo.metrics.joints:MPJPE",
        "root_mpjpe": "zoo.metrics.joints:RootMPJPE",
        "pa_mpjpe": "zoo.metrics.joints:PAMPJPE",
        "rte": "zoo.metrics.joints:RTE",
        "keypoint": "zoo.metrics.joints:KeypointError",
        "mpvpe": "zoo.metrics.vertices:MPVPE",
        "root_mpvpe": "zoo.metrics.vertices:RootMPVPE",
        "pa_mpvpe": "zoo.metrics.vertices:PAMPVPE",
        "f_score": "zoo.metrics.vertices:FScore",
        "pck": "zoo.metrics.pck:PCK",
        "auc": "zoo.metrics.pck:AUC",
        "aligned_mpjpe": "zoo.metrics.errors:AlignedMPJPE",
        "finger_mpjpe": "zoo.metrics.errors:FingerMPJPE",
    },
    protocol="zoo.contracts:Metric",
)
probes = Slot(
    "probe",
    {
        "gradient.reach": "benchmarks.probes.gradient:Reach",
        "gradient.share": "benchmarks.probes.gradient:Share",
        "gradient.derivative": "benchmarks.probes.derivative:Derivative",
        "ledger.sum": "benchmarks.probes.ledger:Sum",
        "ledger.initial": "benchmarks.probes.ledger:Initial",
        "ledger.units": "benchmarks.probes.ledger:Units",
        "ledger.scale": "benchmarks.probes.scale:Scale",
        "ledger.square": "benchmarks.probes.hand:SquarePixels",
        "numeric.ties": "benchmarks.probes.numeric:Ties",
        "numeric.extremes": "benchmarks.probes.numeric:Extremes",
        "numeric.precision": "benchmarks.probes.precision:Precision",
        "numeric.rotations": "benchmarks.probes.rotations:Rotations",
        "numeric.start": "benchmarks.probes.rotations:Start",
        "config.keys": "benchmarks.probes.config:Keys",
        "config.schedule": "benchmarks.probes.schedule:Schedule",
        "config.contradictions": "benchmarks.probes.config:Contradictions",
        "config.switches": "benchmarks.probes.switches:Switches",
        "config.pixels": "benchmarks.probes.parts:Pixels",
        "config.grid": "benchmarks.probes.parts:Grid",
        "config.conditioning": "benchmarks.probes.parts:Conditioning",
        "config.range": "benchmarks.probes.targets:Range",
        "config.targets": "benchmarks.probes.targets:Targets",
        "learning.overfit": "benchmarks.probes.learning:Overfit",
        "learning.steps": "benchmarks.probes.learning:Steps",
        "gradient.clip": "benchmarks.probes.gradient:Clip",
        "gradient.optimised": "benchmarks.probes.gradient:Optimised",
        "shape.batch": "benchmarks.probes.shape:BatchInvariance",
        "shape.count": "benchmarks.probes.shape:AnySize",
        "shape.inputs": "benchmarks.probes.inputs:Inputs",
        "shape.reading": "benchmarks.probes.reading:Reading",
        "shape.clip": "benchmarks.probes.inputs:Clips",
        "label.projection": "benchmarks.probes.label:Projection",
        "label.fk": "benchmarks.probes.label:PosedJoints",
        "label.units": "benchmarks.probes.label:Units",
        "label.order": "benchmarks.probes.label_order:Order",
        "label.side": "benchmarks.probes.label_order:Sides",
        "label.validity": "benchmarks.probes.label_records:Validity",
        "label.plausible": "benchmarks.probes.label_records:Plausible",
        "label.truth": "benchmarks.probes.label_truth:TruthCostsLeast",
        "label.unseen": "benchmarks.probes.label_unseen:Unseen",
        "augmentation.consistent": "benchmarks.probes.augmentation:Consistent",
        "augmentation.effect": "benchmarks.probes.augmentation_parts:Effect",
        "augmentation.pixels": "benchmarks.probes.augmentation_parts:Pixels",
        "augmentation.untouched": "benchmarks.probes.augmentation_parts:Untouched",
        "augmentation.mirror": "benchmarks.probes.augmentation_paths:Mirror",
        "augmentation.identity": "benchmarks.probes.augmentation_paths:SamePath",
        "mask.alone": "benchmarks.probes.mask:Alone",
        "mask.copies": "benchmarks.probes.mask:Copies",
        "mask.empty": "benchmarks.probes.mask:NothingLabelled",
        "mask.unread": "benchmarks.probes.mask:NeverRead",
        "mask.own": "benchmarks.probes.mask:OwnHands",
        "metric.name": "benchmarks.probes.metric:Promise",
        "metric.hands": "benchmarks.probes.metric:OwnHands",
        "metric.empty": "benchmarks.probes.metric:NothingToJudge",
        "metric.best": "benchmarks.probes.metric:BestCheckpoint",
        "determinism.seed": "benchmarks.probes.determinism:Repeats",
        "determinism.evaluation": "benchmarks.probes.determinism:Evaluates",
        "determinism.ranks": "benchmarks.probes.determinism:Ranks",
        "determinism.resume": "benchmarks.probes.determinism:Resumes",
        "determinism.start": "benchmarks.probes.determinism:SameStart",
        "data.pictures": "benchmarks.probes.data:Pictures",
        "data.range": "benchmarks.probes.data:Range",
        "data.colours": "benchmarks.probes.data:Colours",
        "data.support": "benchmarks.probes.data:Support",
        "weights.hand": "benchmarks.probes.hand:Hand",
        "weights.loaded": "benchmarks.probes.weights:Loaded",
        "weights.pretrained": "benchmarks.probes.weights:Pretrained",
        "weights.registered": "benchmarks.probes.weights:Known",
        "weights.finite": "benchmarks.probes.weights:Sound",
    },
    protocol="benchmarks.probe:Probe",
)

SLOTS: dict[str, Slot] = {
    slot.name: slot
    for slot in (
        backbones,
        necks,
        heads,
        cameras,
        temporals,
        losses,
        view_augmentations,
        pixel_augmentations,
        crops,
        datasets,
        converters,
        metrics,
        probes,
    )
}
