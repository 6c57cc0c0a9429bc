// The kernels on AVX2, AVX-VNNI, FMA and F16C.
#include "isa_avx_vnni.hpp"

namespace {
using Isa = AvxVnni;
}

#include "attention.hpp"

namespace wellread {

const Kernels avx_vnni_kernels = kernels_of("avx_vnni");

}  // namespace wellread
