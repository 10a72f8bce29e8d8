"""What the compiled modules _core_base … _core_v4 hold; all of them hold the same.

`Core` is such a module and `Classes` its submodules float32 and float64; the rest are their classes. Nothing
is converted: arrays must be C-contiguous and of the dtype that is asked for. A `FloatArray` is of float32 or
float64: the arrays of one call have the same of them, those of a class its submodule's. Observations may
always have either.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from pgcore import _core  # noqa: PLW0406  # in the protocols its names are those of attributes
from pgcore._arguments import AnyArray, Float64Array, FloatArray, IntArray

class Build:
    @property
    def variant(self) -> str: ...
    @property
    def compiler(self) -> str: ...
    @property
    def flags(self) -> str: ...
    @property
    def eigen(self) -> str: ...
    @property
    def eigen_simd(self) -> str: ...

CgSolution: TypeAlias = tuple[FloatArray, int, int, float, float, float]
"""Fields of `pgcore.kernels.CGResult`."""

# Options and reports

class AdamOptions:
    def __init__(self, learning_rate: float, beta1: float, beta2: float, epsilon: float) -> None: ...

class SurrogateOptions:
    def __init__(
        self,
        batch_size: int,
        clip_range: float,
        entropy_coef: float,
        kl_coef: float,
        max_grad_norm: float,
        max_kl: float,
        normalize_advantage: bool,
        rounding: float,
    ) -> None: ...

class SurrogateReport:
    @property
    def minibatches(self) -> int: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def finite(self) -> bool: ...
    @property
    def surrogate(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def approx_kl(self) -> float: ...
    @property
    def clip_fraction(self) -> float: ...
    @property
    def gradient_norm(self) -> float: ...

class InputScaling:
    """A normaliser's statistics; it never changes."""

    def __init__(self, shift: Float64Array, scale: Float64Array, clip: float) -> None: ...
    def normalize(self, obs: FloatArray, out: FloatArray) -> None: ...

# Classes of one dtype

class MLP:
    def __init__(self, sizes: Sequence[int], activation: str) -> None: ...
    @property
    def num_params(self) -> int: ...
    # Methods that take arguments as the kernels of the module do, and return None as they do.
    def forward(self, theta: object, x: object, out: object) -> FloatArray | None: ...
    def vjp(self, theta: object, x: object, cotangent: object, out: object) -> FloatArray | None: ...
    def jvp(self, theta: object, x: object, tangent: object, out: object) -> FloatArray | None: ...
    def per_sample_vjp(
        self, theta: object, x: object, cotangent: object, out: object
    ) -> FloatArray | None: ...

class AdamState:
    """Parameters and moments, changed in place; the steps taken so far."""

    def __init__(
        self, theta: FloatArray, m: FloatArray, v: FloatArray, step: int, options: AdamOptions
    ) -> None: ...
    @property
    def step(self) -> int: ...

class Policy:
    """Actions are (B, width): real ones of the class's dtype, choices integers."""

    def __init__(
        self,
        obs_dim: int,
        hidden: Sequence[int],
        activation: str,
        action_ndim: int,
        head: str,
        sizes: Sequence[int],
        init_log_std: float = 0.0,
        fixed_tril: Float64Array | None = None,
    ) -> None: ...
    @property
    def num_params(self) -> int: ...
    @property
    def num_net_params(self) -> int: ...
    # Called as those of `MLP`; a scaling is an `InputScaling` or None.
    def log_prob(
        self, params: object, obs: object, scaling: object, actions: object
    ) -> FloatArray | None: ...
    def entropy(self, params: object, obs: object, scaling: object) -> FloatArray | None: ...
    def entropy_gradient(self, params: object, obs: object, scaling: object) -> FloatArray | None: ...
    def kl(self, params: object, obs: object, scaling: object, params_old: object) -> FloatArray | None: ...
    def score_product(
        self, params: object, obs: object, scaling: object, actions: object, weights: object
    ) -> FloatArray | None: ...
    def scores(self, params: object, obs: object, scaling: object, actions: object) -> FloatArray | None: ...
    def score_sq_norms(
        self, params: object, obs: object, scaling: object, actions: object
    ) -> FloatArray | None: ...
    def act(
        self, params: object, obs: object, scaling: object, noise: object, out: object
    ) -> AnyArray | None: ...
    def sample(
        self, params: object, obs: object, scaling: object, noise: object
    ) -> tuple[AnyArray, FloatArray] | None: ...
    def mode(self, params: object, obs: object, scaling: object) -> AnyArray | None: ...
    def episode_scores(
        self,
        params: FloatArray,
        obs: FloatArray,
        scaling: InputScaling | None,
        actions: FloatArray | IntArray,
        weights: FloatArray | None,
        starts: IntArray,
        out: FloatArray,
    ) -> None: ...

class RealActor:
    def __init__(
        self,
        policy: Policy,
        params: FloatArray,
        obs: FloatArray,
        scaling: InputScaling | None,
        noise: FloatArray,
        actions: FloatArray,
        num_envs: int,
    ) -> None: ...
    def __call__(self, t: int) -> None: ...

class ChoiceActor:
    def __init__(
        self,
        policy: Policy,
        params: FloatArray,
        obs: FloatArray,
        scaling: InputScaling | None,
        noise: FloatArray,
        actions: IntArray,
        num_envs: int,
    ) -> None: ...
    def __call__(self, t: int) -> None: ...

class SurrogateAscent:
    def __init__(self, policy: Policy) -> None: ...
    def epoch(
        self,
        adam: AdamState,
        obs: FloatArray,
        scaling: InputScaling | None,
        actions: FloatArray | IntArray,
        advantages: Float64Array,
        log_probs_old: FloatArray,
        order: IntArray,
        options: SurrogateOptions,
    ) -> SurrogateReport: ...

class ValueFit:
    def __init__(self, sizes: Sequence[int], activation: str) -> None: ...
    @property
    def num_params(self) -> int: ...
    def predict(
        self, theta: object, x: object, scaling: object, mean: object, std: object
    ) -> Float64Array | None: ...
    def epoch(
        self,
        adam: AdamState,
        x: FloatArray,
        scaling: InputScaling | None,
        targets: FloatArray,
        order: IntArray,
        batch_size: int,
        max_grad_norm: float,
    ) -> float: ...

class KroneckerInverse:
    def __init__(self) -> None: ...
    def add_layer(self, inputs: FloatArray, outputs: FloatArray, inverse: FloatArray) -> None: ...
    def set_rest(self, inverse: FloatArray) -> None: ...

class Fisher:
    def __init__(
        self,
        policy: Policy,
        params: FloatArray,
        obs: FloatArray,
        scaling: InputScaling | None,
        actions: FloatArray | IntArray | None,
        max_cache_bytes: float,
    ) -> None: ...
    @property
    def cached(self) -> bool: ...
    @property
    def num_free(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def num_roots(self) -> int: ...
    @property
    def layer_sizes(self) -> list[int]: ...
    def multiply(self, v: object, damping: object) -> FloatArray | None: ...
    def diagonal(self, out: FloatArray) -> None: ...
    def free_block(self, out: FloatArray) -> None: ...
    def factors(
        self, hidden: Sequence[FloatArray], delta: Sequence[FloatArray], free_params: FloatArray
    ) -> None: ...
    def kronecker_factors(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> None: ...
    def solve(
        self,
        b: FloatArray,
        x0: FloatArray | None,
        tolerances: tuple[float, float],
        max_iter: int,
        damping: float,
        preconditioner: FloatArray | KroneckerInverse | Callable[[FloatArray], FloatArray] | None,
        callback: Callable[[FloatArray], object] | None,
    ) -> CgSolution: ...

class Classes(Protocol):
    """A submodule: the classes that compute in its dtype."""

    AdamState: type[_core.AdamState]
    ChoiceActor: type[_core.ChoiceActor]
    Fisher: type[_core.Fisher]
    KroneckerInverse: type[_core.KroneckerInverse]
    MLP: type[_core.MLP]
    Policy: type[_core.Policy]
    RealActor: type[_core.RealActor]
    SurrogateAscent: type[_core.SurrogateAscent]
    ValueFit: type[_core.ValueFit]

class Core(Protocol):
    """A module: functions over both dtypes, and what does not depend on one."""

    float32: Classes
    float64: Classes
    AdamOptions: type[_core.AdamOptions]
    Build: type[_core.Build]
    InputScaling: type[_core.InputScaling]
    SurrogateOptions: type[_core.SurrogateOptions]
    SurrogateReport: type[_core.SurrogateReport]

    def build(self) -> _core.Build: ...
    def get_num_threads(self) -> int: ...
    def set_num_threads(self, num_threads: int) -> None: ...

    # Kernels along time. They take arguments as users pass them, and return None if one of them is not exact:
    # a C-contiguous array of one dtype, of a shape that fits, a Python number, `out` without shared memory.
    def affine_scan(
        self,
        x: object,
        c: object,
        ends: object,
        bootstrap_values: object,
        direction: object,
        out: object,
    ) -> FloatArray | None: ...
    def reward_to_go(
        self, rewards: object, gamma: object, ends: object, bootstrap_values: object, out: object
    ) -> FloatArray | None: ...
    def n_step_return(
        self,
        rewards: object,
        values: object,
        gamma: object,
        n: object,
        ends: object,
        bootstrap_values: object,
        out: object,
    ) -> FloatArray | None: ...
    def gae(
        self,
        rewards: object,
        values: object,
        gamma: object,
        lam: object,
        ends: object,
        bootstrap_values: object,
        next_values: object,
        out: object,
    ) -> tuple[FloatArray, FloatArray] | None: ...
    def vtrace(
        self,
        rewards: object,
        values: object,
        log_ratios: object,
        coefficients: tuple[object, object, object, object, object],  # γ, λ and the three limits
        ends: object,
        bootstrap_values: object,
        next_values: object,
        out: object,
    ) -> tuple[FloatArray, FloatArray] | None: ...
    def cumulative_log_ratios(
        self, log_ratios: object, ends: object, direction: object, out: object
    ) -> FloatArray | None: ...
    def weighted_reward_to_go(
        self,
        rewards: object,
        log_ratios: object,
        gamma: object,
        ends: object,
        bootstrap_values: object,
        out: object,
    ) -> FloatArray | None: ...
    def effective_sample_size(self, log_weights: object, out: object) -> float | FloatArray | None: ...

    # Kernels of distributions, called in the same way.
    def gaussian_log_prob(
        self, actions: object, mean: object, log_std: object, scale_tril: object, out: object
    ) -> FloatArray | None: ...
    def gaussian_score(
        self, actions: object, mean: object, log_std: object, scale_tril: object, out: object
    ) -> tuple[FloatArray, FloatArray] | None: ...
    def gaussian_kl(
        self,
        mean_p: object,
        log_std_p: object,
        mean_q: object,
        log_std_q: object,
        scale_tril_p: object,
        scale_tril_q: object,
        out: object,
    ) -> FloatArray | None: ...
    def gaussian_entropy(
        self, log_std: object, scale_tril: object, out: object
    ) -> float | FloatArray | None: ...
    def categorical_log_prob(self, actions: object, logits: object, out: object) -> FloatArray | None: ...
    def categorical_score(self, actions: object, logits: object, out: object) -> FloatArray | None: ...
    def categorical_kl(self, logits_p: object, logits_q: object, out: object) -> FloatArray | None: ...
    def categorical_entropy(self, logits: object, out: object) -> FloatArray | None: ...

    # Parameters and linear systems
    def orthonormalize(self, rows: Float64Array) -> None: ...
    def adam_step(
        self,
        theta: object,
        grad: object,
        m: object,
        v: object,
        step: object,
        options: tuple[object, object, object, object],  # learning rate, β₁, β₂, ε
    ) -> Literal[True] | None: ...
    # Functions are exact if they return exact vectors.
    def conjugate_gradient(
        self,
        operator: object,
        b: object,
        x0: object,
        tolerances: tuple[object, object],  # rtol, atol
        max_iter: object,
        damping: object,
        preconditioner: Callable[[FloatArray], FloatArray] | None,
        callback: Callable[[FloatArray], object] | None,
    ) -> CgSolution | None: ...
