// The kernels in plain C++.
#include "isa_portable.hpp"

#include "attention.hpp"

namespace wellread {

const Kernels portable_kernels = kernels_of("portable");

}  // namespace wellread
