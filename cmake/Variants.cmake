# One extension module per instruction-set level: the core's sources (Eigen included) compiled with the level's flags,
# linked with the bindings, and everything hidden, so that modules share no symbol.
include(CheckCXXCompilerFlag)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND NOT CMAKE_OSX_ARCHITECTURES MATCHES "arm64")
  set(PGCORE_LEVELS_DEFAULT v2 v3 v4)
else()
  set(PGCORE_LEVELS_DEFAULT base)
endif()
set(PGCORE_LEVELS "${PGCORE_LEVELS_DEFAULT}" CACHE STRING
    "Instruction-set levels to build (v2;v3;v4 on x86-64, base elsewhere); fewer make a developer's build quicker")

if(MSVC)
  # MSVC names no level v2; its x64 default (SSE2) runs on every such processor.
  set(PGCORE_FLAGS_v2 "")
  set(PGCORE_FLAGS_v3 /arch:AVX2)
  set(PGCORE_FLAGS_v4 /arch:AVX512)
else()
  set(PGCORE_FLAGS_v2 -march=x86-64-v2)
  set(PGCORE_FLAGS_v3 -march=x86-64-v3)
  set(PGCORE_FLAGS_v4 -march=x86-64-v4 -mprefer-vector-width=512)
endif()
set(PGCORE_FLAGS_base "")

# Flags that decide the numbers, the same for every level:
# no contraction, so that an element's bits do not depend on whether it fell into a vector body or a scalar tail;
# no errno and no traps, which changes no value but lets loops with selects vectorise. Never -ffast-math.
if(MSVC)
  set(PGCORE_NUMERIC_FLAGS /fp:precise /bigobj /EHsc)
else()
  set(PGCORE_NUMERIC_FLAGS -ffp-contract=off -fno-math-errno -fno-trapping-math)
  if(PGCORE_SANITIZE)
    list(APPEND PGCORE_NUMERIC_FLAGS -O1 -g1)  # instrumented Eigen takes minutes to compile at more
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND PGCORE_NUMERIC_FLAGS -O3 -fvect-cost-model=dynamic)
  endif()
endif()

set(PGCORE_CORE_SOURCES
  build
  math/matmul math/orthogonal
  parallel/parallel
  scan/ratios scan/recurrence scan/scan
  distributions/categorical distributions/gaussian
  nn/few_rows nn/inputs nn/mlp nn/network
  policy/heads policy/policy
  curvature/cg curvature/fisher curvature/kronecker
  optim/adam optim/surrogate_ascent optim/value_fit)
# What acting takes between two steps of the environments: in wide vectors it would slow down the steps (nn/few_rows.hpp).
set(PGCORE_ACTING_SOURCES nn/few_rows nn/inputs policy/heads)
list(TRANSFORM PGCORE_CORE_SOURCES REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/cpp/src/\\1.cpp")
list(TRANSFORM PGCORE_ACTING_SOURCES REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/cpp/src/\\1.cpp")

function(pgcore_compile_settings target level)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/cpp/include" "${PROJECT_SOURCE_DIR}/cpp/src")
  get_target_property(eigen_include Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
  target_include_directories(${target} SYSTEM PRIVATE ${eigen_include})
  target_compile_options(${target} PRIVATE ${PGCORE_FLAGS_${level}} ${PGCORE_NUMERIC_FLAGS})
  string(JOIN " " flags ${PGCORE_FLAGS_${level}} ${PGCORE_NUMERIC_FLAGS} ${CMAKE_BUILD_TYPE})
  target_compile_definitions(${target} PRIVATE EIGEN_DONT_PARALLELIZE EIGEN_MPL2_ONLY
                                               PGCORE_LEVEL="${level}" "PGCORE_FLAGS=\"${flags}\"")
  if(level STREQUAL v4 AND NOT MSVC)
    set_source_files_properties(${PGCORE_ACTING_SOURCES} TARGET_DIRECTORY ${target}
                                PROPERTIES COMPILE_OPTIONS "-mprefer-vector-width=256;-DPGCORE_ACTING")
  endif()
  target_link_libraries(${target} PRIVATE Threads::Threads)
  pgcore_warnings(${target})
  pgcore_sanitize(${target})
endfunction()

# Only PyInit_* leaves a module: weak C++ symbols must not be merged with those of another module.
function(pgcore_hide_symbols target)
  if(APPLE)
    target_link_options(${target} PRIVATE "-Wl,-exported_symbol,_PyInit_*")
  elseif(UNIX)
    target_link_options(${target} PRIVATE
      "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map" -Wl,--gc-sections)
  endif()
endfunction()
