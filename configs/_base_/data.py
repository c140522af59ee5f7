"""Where hands come from: shards you name with --data, else rendered ones made once and cached."""

data = dict(
    train=dict(shards=None, sources=dict(), batch_size=32, shuffle=2000),
    val=dict(shards=None, sources=dict(), batch_size=64),
    num_workers=4,
    synthetic=dict(count=32000, val_count=1024, image_size=256, seed=0),
)
