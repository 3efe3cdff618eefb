# Included by ggml alone. Of llama.cpp, what computes is built to be fast, the rest is built fast (see run); and of its
# tools only the server.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

function(leave_out_the_other_tools)
  foreach(tool batched-bench cli completion cvector-generator export-lora fit-params gguf-split imatrix llama-bench
               perplexity quantize results tokenize tts)
    get_property(targets DIRECTORY tools/${tool} PROPERTY BUILDSYSTEM_TARGETS)
    set_property(TARGET ${targets} PROPERTY EXCLUDE_FROM_ALL ON)
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL leave_out_the_other_tools)
