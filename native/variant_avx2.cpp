// The kernels on AVX2, FMA and F16C.
#include "isa_avx2.hpp"

#include "attention.hpp"

namespace wellread {

const Kernels avx2_kernels = {
    "avx2",    {4, 4, 4}, {true, false, true}, prepare,    multiply, layer_norm,
    table_row, attend,    attention_scratch,   add_scaled,
};

}  // namespace wellread
