// The kernels on AVX-512 and its VNNI.
#include "isa_avx512_vnni.hpp"

namespace {
using Isa = Avx512Vnni;
}

#include "attention.hpp"

namespace wellread {

const Kernels avx512_vnni_kernels = kernels_of("avx512_vnni");

}  // namespace wellread
