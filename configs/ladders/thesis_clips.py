"""The CS-ViT2 thesis, length of a clip: the last frame refined with 0 to 8 frames before it.

zoo ladder thesis_clips
"""

base = "csvit2_stage2"
variants = dict(
    frames_1=["data.clip.frames=1"],
    frames_3=["data.clip.frames=3"],
    frames_5=["data.clip.frames=5"],
    frames_7=[],
    frames_9=["data.clip.frames=9"],
)
claims = dict(frames_7="2.8 mm better than a single frame")
