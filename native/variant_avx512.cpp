// The kernels on AVX-512.
#include "isa_avx512.hpp"

namespace {
using Isa = Avx512;
}

#include "attention.hpp"

namespace wellread {

const Kernels avx512_kernels = kernels_of("avx512");

}  // namespace wellread
