"""A training without a model: one number that every step changes, saved and resumed like ours."""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

folder, steps, seed, resume = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "1"
folder.mkdir(parents=True, exist_ok=True)
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))


def save(step: int, state: str) -> None:
    partial = folder / ".partial"
    partial.write_text(state)
    os.replace(partial, folder / f"iter_{step}.pth")


done, state = 0, seed
if resume:
    done = max(int(file.stem.split("_")[1]) for file in folder.glob("iter_*.pth"))
    state = (folder / f"iter_{done}.pth").read_text()
(folder / f"started-{time.time_ns()}").write_text(str(done))
for step in range(done + 1, steps + 1):
    state = hashlib.sha256(f"{state} {step}".encode()).hexdigest()
    time.sleep(random.uniform(0.002, 0.01))
    if step % 10 == 0 or stop:
        save(step, state)
    if stop:
        sys.exit(1)
(folder / ".json").write_text(json.dumps({"steps": steps, "state": state}))
os.replace(folder / ".json", folder / "run.json")
