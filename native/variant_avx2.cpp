// The kernels on AVX2, FMA and F16C.
#include "isa_avx2.hpp"

namespace {
using Isa = Avx2;
}

#include "attention.hpp"

namespace wellread {

const Kernels avx2_kernels = kernels_of("avx2");

}  // namespace wellread
