"""Every developer command: `nox -l` lists them, `nox -s NAME` runs one."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "test"]
BUILD = ("scikit-build-core", "pybind11", "cmeel-eigen", "cmake", "ninja")


@nox.session
def build(session: nox.Session) -> None:
    """Install editable, at one instruction-set level; quick to repeat."""
    session.install(*BUILD)
    session.install(
        "--no-build-isolation",
        "-e",
        ".[dev]",
        "-Cbuild-dir=build/editable",
        "-Ccmake.define.PGCORE_LEVELS=v3",
    )
    session.run("pgcore", "info")


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def test(session: nox.Session) -> None:
    """Run the tests against an installed wheel."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Run the tests that compare with other libraries."""
    session.install("torch==2.13.0")
    session.install(".[peers]")
    session.run("python", "-m", "pytest", "-m", "peers", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types; format with `nox -s lint -- --fix`."""
    session.install(".[dev]")
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("mypy")
    files = session.run("git", "ls-files", "*.hpp", "*.cpp", external=True, silent=True).split()
    session.run("clang-format", *(["-i"] if fix else ["--dry-run", "--Werror"]), *files)


@nox.session
@nox.parametrize("preset", ["asan", "tsan", "nomalloc"])
def cpp(session: nox.Session, preset: str) -> None:
    """Run the C++ tests under a sanitizer, or watching allocations."""
    session.install(*BUILD)
    session.run("cmake", "--preset", preset)
    session.run("cmake", "--build", "--preset", preset)
    session.run("ctest", "--preset", preset)


@nox.session
def sanitized(session: nox.Session) -> None:
    """Run the Python tests that reach every binding over a core with address and undefined sanitizers."""
    session.install(*BUILD)
    session.install(
        "--no-build-isolation",
        ".[test]",
        "-Ccmake.define.PGCORE_LEVELS=v3",
        "-Ccmake.define.PGCORE_SANITIZE=address,undefined",
    )
    # The interpreter isn't instrumented: the runtime comes first, and with it the library that throws.
    libraries = [
        session.run("gcc", f"-print-file-name={name}", external=True, silent=True).strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    session.run(
        "python",
        "-m",
        "pytest",
        "-q",
        "--ignore=tests/kernels/test_out_of_memory.py",  # the sanitizer itself needs the memory it takes away
        "--capture=sys",  # or a report that ends the process would be lost with what pytest holds back
        *(
            session.posargs
            or [f"tests/{part}" for part in ("kernels", "policies", "baselines", "estimators")]
        ),
        # The interpreter never frees some of what it holds.
        env={"LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": "detect_leaks=0"},
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Time the kernels beside NumPy and SciPy: `nox -s bench -- -k gae`."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", "bench/", *session.posargs)


@nox.session
def against(session: nox.Session) -> None:
    """Time the kernels against the best of all libraries: `nox -s against -- --only gae`."""
    session.install("torch==2.13.0")
    session.install(".[peers]")
    session.run("python", "bench/against_peers.py", *session.posargs)


@nox.session
def instructions(session: nox.Session) -> None:
    """Count instructions of fixed workloads against the committed figures; `-- --update` writes them anew."""
    session.install(".[test]")
    session.run("python", "bench/instructions.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples in docstrings and in the README."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", "tests/test_package.py", "tests/test_readme.py")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, the wheel from the sdist; check what the wheel needs."""
    session.install("build", "auditwheel")
    session.run("python", "-m", "build")
    session.run("bash", "-c", "auditwheel show dist/*.whl && ls -l dist", external=True)
