function(pgcore_sanitize target)
  if(PGCORE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${PGCORE_SANITIZE} -fno-omit-frame-pointer -g
                                             -fno-sanitize-recover=all -UNDEBUG)  # assertions on
    target_link_options(${target} PRIVATE -fsanitize=${PGCORE_SANITIZE})
  endif()
endfunction()
