# Of llama.cpp, what computes is built to be fast (this is included by it alone); the rest is built fast, see run.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
