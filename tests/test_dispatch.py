"""Which compiled core is loaded and how many threads it uses, each case in an interpreter of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pgcore
from pgcore import _dispatch
from pgcore._dispatch import LEVELS, levels_built, levels_supported

BUILT, SUPPORTED = levels_built(), levels_supported()
USABLE = [level for level in BUILT if level in SUPPORTED]

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


def python(code: str, environment: Mapping[str, str] | None = None, timeout: float = 60) -> str:
    """Run code in a fresh interpreter with no settings of ours but those given; return what it printed."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PGCORE_ISA", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- instruction-set levels ----


def test_something_was_built_that_runs() -> None:
    assert USABLE
    assert set(BUILT) <= set(LEVELS)
    assert [level for level in LEVELS if level in BUILT] == BUILT


def test_the_best_usable_level_is_loaded() -> None:
    assert python("import pgcore; print(pgcore.build_info()['variant'])") == USABLE[-1]


# Answers of every family
ANSWERS = """
import json, os, sys
import numpy as np
import pgcore
from pgcore import kernels
from pgcore.policies import CategoricalPolicy, GaussianPolicy

rng = np.random.default_rng(0)
x = rng.normal(size=(300, 4))
ends = rng.random(300) < 0.05
answers = [
    kernels.reward_to_go(x, 0.9),
    *kernels.gae(x[:, 0], x[:, 1], 0.99, 0.95, ends=ends),
    *kernels.vtrace(x[:, 0], x[:, 1], 0.1 * x[:, 2], 0.99, ends=ends),
    kernels.cumulative_log_ratios(0.1 * x[:, 0], ends=ends),
    kernels.weighted_reward_to_go(x[:, 0], 0.1 * x[:, 1], 0.9, ends=ends),
    np.atleast_1d(kernels.effective_sample_size(x[:, 0])),
    *kernels.gaussian_score(x, 0.5 * x, [0.1, -0.2, 0.3, 0.0]),
    kernels.categorical_log_prob(np.arange(300) % 4, x),
    kernels.conjugate_gradient(x.T @ x, x[0]).x,
]
for policy in (
    GaussianPolicy(4, 2, hidden=(9, 7), dtype="float64"),
    CategoricalPolicy(4, 3, hidden=(20,), dtype="float64", activation="gelu"),
):
    actions, log_probs = policy.sample(x, np.random.default_rng(1))
    answers += [actions.astype(float), log_probs, policy.score_sq_norms(x, actions)]
    answers.append(policy.score_product(x, actions, x[:, 0]))
core = pgcore._dispatch.compiled
assert core.__name__ == "pgcore._core_" + pgcore.build_info()["variant"]
loaded = [name for name in sys.modules if name.startswith("pgcore._core_")]
assert {name.removesuffix(".float32").removesuffix(".float64") for name in loaded} == {core.__name__}
answers = [answer.ravel().tolist() for answer in answers]
print(json.dumps({"variant": pgcore.build_info()["variant"], "answers": answers}))
"""


@pytest.fixture(scope="module")
def answers() -> list[np.ndarray]:
    return [np.array(a) for a in json.loads(python(ANSWERS))["answers"]]


@pytest.mark.parametrize("level", USABLE)
def test_every_level_can_be_forced_and_agrees(level: str, answers: list[np.ndarray]) -> None:
    forced = json.loads(python(ANSWERS, {"PGCORE_ISA": level}))
    assert forced["variant"] == level
    for mine, best in zip(forced["answers"], answers, strict=True):
        assert np.abs(np.array(mine) - best).max() <= 1e-12 * np.abs(best).max()


@pytest.mark.parametrize(
    "level", ["v5", "avx2", "V3", " ", *(level for level in LEVELS if level not in USABLE)]
)
def test_other_levels_are_refused(level: str) -> None:
    code = """
    import pgcore
    try:
        pgcore.build_info()
    except RuntimeError as error:
        print(error)
    """
    assert python(code, {"PGCORE_ISA": level}) == (
        f"PGCORE_ISA: expected one of {USABLE} (built: {BUILT}, supported here: {SUPPORTED}), got {level!r}"
    )


def test_an_empty_choice_is_no_choice() -> None:
    code = "import pgcore; print(pgcore.build_info()['variant'])"
    assert python(code, {"PGCORE_ISA": ""}) == USABLE[-1]


def test_a_package_without_a_usable_core_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dispatch, "levels_built", lambda: ["v4"])
    monkeypatch.setattr(_dispatch, "levels_supported", lambda: ["base", "v2"])
    monkeypatch.delenv("PGCORE_ISA", raising=False)
    with pytest.raises(RuntimeError) as caught:
        _dispatch.load.__wrapped__()
    assert str(caught.value) == (
        "pgcore: expected a compiled core for this processor, got levels ['v4'] where ['base', 'v2'] run; "
        "reinstall pgcore from source on this machine"
    )


# Of the psABI, as the kernel spells them (`abm` is LZCNT, `pni` SSE3).
FLAGS = {
    "v2": "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
    "v3": "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
    "v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}


@linux_only
@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels are x86-64's")
def test_supported_levels_are_those_of_the_processor() -> None:
    line = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    flags = set(line.split(":")[1].split())
    expected = ["base"]
    for level, needed in FLAGS.items():
        if not set(needed.split()) <= flags:
            break
        expected.append(level)
    assert expected == SUPPORTED


# ---- threads ----


@pytest.mark.usefixtures("restore_threads")
def test_the_number_of_threads_can_be_set() -> None:
    for n in (1, 3, np.int64(2)):
        pgcore.set_num_threads(n)
        assert pgcore.get_num_threads() == n
        assert pgcore.build_info()["threads"] == n
    pgcore.set_num_threads(10**12)
    assert pgcore.get_num_threads() == 1024


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "num_threads: expected at least 1, got 0"),
        (-2, ValueError, "num_threads: expected at least 1, got -2"),
        (1.0, TypeError, "num_threads: expected an integer, got float"),
        ("2", TypeError, "num_threads: expected an integer, got str"),
        (None, TypeError, "num_threads: expected an integer, got NoneType"),
    ],
)
def test_wrong_numbers_of_threads(value: Any, error: type[Exception], message: str) -> None:
    before = pgcore.get_num_threads()
    with pytest.raises(error) as caught:
        pgcore.set_num_threads(value)
    assert str(caught.value) == message
    assert pgcore.get_num_threads() == before


COUNT = "import pgcore; print(pgcore.get_num_threads())"


@pytest.mark.parametrize(("value", "threads"), [("1", 1), ("3", 3), ("7,2", 7), ("99999", 1024)])
def test_omp_num_threads_is_honoured(value: str, threads: int) -> None:
    assert int(python(COUNT, {"OMP_NUM_THREADS": value})) == threads


@linux_only
@pytest.mark.parametrize("value", [None, "", "0", "-1", "many"])
def test_the_default_is_the_number_of_processors(value: str | None) -> None:
    environment = {} if value is None else {"OMP_NUM_THREADS": value}
    assert int(python(COUNT, environment)) == len(os.sched_getaffinity(0))


@linux_only
def test_the_affinity_is_honoured() -> None:
    code = f"""
    import os
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    {COUNT}
    """
    assert python(code) == "1"


# ---- threadpoolctl ----


def test_threadpoolctl_knows_the_pool() -> None:
    pytest.importorskip("threadpoolctl")
    code = """
    import json
    import threadpoolctl
    import pgcore
    pgcore.set_num_threads(3)

    def ours():
        return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "pgcore"]

    (pool,) = ours()
    seen = [pool["num_threads"]]
    with threadpoolctl.threadpool_limits(limits=1, user_api="pgcore"):
        seen += [ours()[0]["num_threads"], pgcore.get_num_threads()]
    seen.append(pgcore.get_num_threads())
    with threadpoolctl.threadpool_limits(limits=2):
        seen.append(pgcore.get_num_threads())
    seen.append(pgcore.get_num_threads())
    pool["loaded"] = pgcore._dispatch.compiled.__file__
    print(json.dumps([seen, pool]))
    """
    seen, pool = json.loads(python(code))
    assert seen == [3, 1, 1, 3, 2, 3]
    assert pool["internal_api"] == pool["user_api"] == "pgcore"
    assert Path(pool["filepath"]).resolve() == Path(pool["loaded"]).resolve()
    assert pool["version"] == USABLE[-1]


# ---- forks ----

AFTER_FORK = """
import os, sys, warnings
import numpy as np
import pgcore
from pgcore.policies import CategoricalPolicy

warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking beside threads
pgcore.set_num_threads(2)
policy = CategoricalPolicy(8, 4)
rng = np.random.default_rng(0)
obs, weights = rng.normal(size=(20_000, 8)).astype(np.float32), np.ones(20_000, np.float32)
actions = rng.integers(0, 4, 20_000)

def work():
    return policy.score_product(obs, actions, weights).tobytes(), pgcore.kernels.reward_to_go(obs).tobytes()

def check_child(what):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if what() else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
"""


@needs_fork
def test_a_forked_child_gets_the_same_numbers() -> None:
    code = """
    before = work()  # the pool has started
    check_child(lambda: work() == before)
    check_child(lambda: (check_child(lambda: work() == before), work() == before)[1])  # and a child's child
    assert work() == before
    """
    python(AFTER_FORK + textwrap.dedent(code), timeout=60)


@needs_fork
def test_a_fork_before_the_first_use_keeps_the_pool() -> None:
    code = """
    check_child(lambda: pgcore.get_num_threads() == 2 and bool(work()))
    assert work() == work()
    """
    python(AFTER_FORK + textwrap.dedent(code), timeout=60)


@needs_fork
def test_a_fork_while_another_thread_computes() -> None:
    code = """
    import threading
    import time
    before = work()
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            work()

    busy = threading.Thread(target=keep_busy)
    busy.start()
    fresh = CategoricalPolicy(8, 4)  # its scratch memory is not in use

    def in_child():
        one = fresh.score_product(obs, actions, weights).tobytes()
        return one == before[0] and pgcore.kernels.reward_to_go(obs).tobytes() == before[1]

    for _ in range(20):
        check_child(in_child)
    stop.set()
    busy.join()
    """
    python(AFTER_FORK + textwrap.dedent(code), timeout=60)


@needs_fork
def test_multiprocessing_workers_compute() -> None:
    code = """
    import multiprocessing
    before = work()

    def matches(_):
        return work() == before

    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.map(matches, range(6)))
    """
    python(AFTER_FORK + textwrap.dedent(code), timeout=60)


# ---- imports ----


@pytest.mark.parametrize("module", ["pgcore", "pgcore.cli"])
def test_importing_is_light(module: str) -> None:
    loaded = set(json.loads(python(f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))")))
    assert {name for name in loaded if name.startswith("pgcore._c")} == set()
    heavy = {
        "gymnasium",
        "tyro",
        "rich",
        "threadpoolctl",
        "numpy",
        "numba",
        "torch",
        "multiprocessing",
        "asyncio",
    }
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    "module", ["pgcore.kernels", "pgcore.policies", "pgcore.baselines", "pgcore.data.batch"]
)
def test_mathematics_needs_numpy_alone(module: str) -> None:
    code = f"""
    import json, sys, {module}
    pgcore.get_num_threads()  # loads the core
    print(json.dumps(sorted(sys.modules)))
    """
    loaded = set(json.loads(python(code)))
    assert "numpy" in loaded
    heavy = {
        "gymnasium",
        "tyro",
        "rich",
        "numba",
        "torch",
        "scipy",
        "autograd",
        "matplotlib",
        "multiprocessing",
    }
    assert loaded & heavy == set()
