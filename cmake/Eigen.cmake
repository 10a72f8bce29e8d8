# Eigen comes from the `cmeel-eigen` wheel, a build requirement; a system Eigen serves as well.
# The wheel keeps CMake's files under `cmeel.prefix`, which plain find_package does not search,
# so the interpreter that builds is asked where its wheel lies.
find_package(Python REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
    "import importlib.metadata as m; print(m.distribution('cmeel-eigen').locate_file('cmeel.prefix').as_posix())"
  OUTPUT_VARIABLE PGCORE_CMEEL_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_package(Eigen3 3.4 CONFIG REQUIRED HINTS "${PGCORE_CMEEL_PREFIX}" PATH_SUFFIXES share/eigen3/cmake
             cmeel.prefix/share/eigen3/cmake)
message(STATUS "Eigen ${Eigen3_VERSION} (${Eigen3_DIR})")
