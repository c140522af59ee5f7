"""The CS-ViT2 thesis, dropout in the decoder: none, from the first step, from a step on, rising.

Progressive is the step as it was released. Its claim, 7.6 % in favour of progressive dropout, is a
training loss that fixed dropout had raised; no log holds it.
zoo ladder thesis_dropout
"""

base = "csvit2"
variants = dict(
    none=["custom_hooks.dropout.probability=0.0"],
    fixed=["custom_hooks.dropout.start_step=0"],
    progressive=[],
    cosine=["custom_hooks.dropout.ramp=cosine", "custom_hooks.dropout.start_step=0"],
)
claims = dict(progressive="7.6 % better than fixed")
