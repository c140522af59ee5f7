"""The CS-ViT2 thesis, precision of the network: fp32, bf16 and, on a GPU alone, fp16.

Its claim, 11.4 times the speed in bf16, is a ratio of two data sheets, not a timing.
zoo ladder thesis_precision
"""

base = "csvit2"
variants = dict(
    fp32=["model.precision=fp32"],
    bf16=["model.precision=bf16"],
    fp16=["model.precision=fp16"],
)
claims = dict(bf16="1.82 s to 0.16 s a step (11.4 times)")
