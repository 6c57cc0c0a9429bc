// The kernels in plain C++.
#include "isa_portable.hpp"

#include "attention.hpp"

namespace wellread {

const Kernels portable_kernels = {
    "portable", {4, 4, 4}, {true, false, true}, prepare,    multiply, layer_norm,
    table_row,  attend,    attention_scratch,   add_scaled,
};

}  // namespace wellread
