"""Too little memory is a `MemoryError`, wherever it is missed; threads that can't be started are no error.

In processes of their own, forked from one that has imported everything, whose address space is limited just
before the work begins.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")
if not sys.platform.startswith("linux"):
    pytest.skip("limits the address space as Linux counts it", allow_module_level=True)

CODE = """
import os, resource, sys, traceback
import numpy as np
import pgcore
from pgcore import baselines, kernels, policies

pgcore.set_num_threads(3)
work, *extras = sys.argv[1:]
obs = np.zeros((2_000, 8), "f4")
actions = np.zeros((2_000, 3), "f4")
policy = policies.GaussianPolicy(8, 3, hidden=(600, 600))
net = kernels.MLP([8, 600, 600, 3])
theta = np.zeros(net.num_params, "f4")
calls = {
    "policy": lambda: policies.GaussianPolicy(8, 3, hidden=(600, 600)).entropy(obs),
    "score_product": lambda: policy.score_product(obs, actions, np.ones(2_000, "f4")),
    "fisher": lambda: policy.fisher(obs) @ policy.params,
    "mlp": lambda: net.vjp(theta, obs, actions),
    "matrix": lambda: kernels.gae(np.zeros((2_000, 2_000)), np.zeros((2_000, 2_000)), 0.9, 0.9),
}


def outcome_with(extra):
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize"))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + int(extra * 2**20), limits[1]))
    try:
        calls[work]()
        outcome = "done"
    except MemoryError:
        outcome = "MemoryError"
    resource.setrlimit(resource.RLIMIT_AS, limits)
    calls[work]()  # as if nothing had happened
    return outcome


for extra in extras:
    child = os.fork()
    if child == 0:
        try:
            print(outcome_with(float(extra)), flush=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit(f"{work} with {extra} MiB more: status {status}")
"""


@pytest.mark.parametrize("work", ["policy", "score_product", "fisher", "mlp", "matrix"])
def test_missing_memory_is_an_exception(work: str) -> None:
    extras = ["0.0", "1.5", "3.0", "6.0", "12.0"]  # MiB
    done = subprocess.run(
        [sys.executable, "-c", CODE, work, *extras],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # Else glibc serves requests from what others have freed, or from the arenas of other threads.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"},
    )
    assert done.returncode == 0, (work, done.returncode, done.stderr[-2000:])
    outcomes = done.stdout.split()
    assert len(outcomes) == len(extras)
    assert "MemoryError" in outcomes, outcomes
    assert set(outcomes) <= {"MemoryError", "done"}, outcomes


def test_without_threads_the_work_is_done_serially() -> None:
    """Threads would need stacks larger than the address space: there is room for the work alone."""
    code = """
import ctypes, numpy as np, pgcore
from pgcore import kernels
libc = ctypes.CDLL(None)
attributes = ctypes.create_string_buffer(256)
assert libc.pthread_attr_init(attributes) == 0
assert libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(1 << 46)) == 0
assert libc.pthread_setattr_default_np(attributes) == 0  # no thread has room for such a stack
rng = np.random.default_rng(0)
net = kernels.MLP([8, 64, 3])
x, theta = rng.normal(size=(20_000, 8)), net.init(0)
pgcore.set_num_threads(4)
several = net.forward(theta, x)
pgcore.set_num_threads(1)
np.testing.assert_array_equal(several, net.forward(theta, x))
print("same")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "same"), done.stderr[-2000:]
