"""A trained model at work: scored on shards and benchmarks, beside others, and on pictures."""
