"""What every test process needs before torch is loaded."""

from __future__ import annotations

import os

# One thread each: the models of the tests are tiny, and several processes with two threads on two
# cores wait for each other more than they compute. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
