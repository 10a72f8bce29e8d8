# Strict warnings always; errors only where a developer's preset asks (PGCORE_STRICT), never for users' builds.
function(pgcore_warnings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 $<$<BOOL:${PGCORE_STRICT}>:/WX>)
  else()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                             # gcc 12 warns about its own AVX-512 headers
                                             $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                                             $<$<BOOL:${PGCORE_STRICT}>:-Werror>)
  endif()
endfunction()
