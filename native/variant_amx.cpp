// The kernels on AMX: bfloat16 and int8 in tile registers, and float32 on AVX-512 as elsewhere.
#include "isa_amx.hpp"

namespace {
using Isa = Amx;
}

#include "tile_attention.hpp"

namespace wellread {

namespace {

constexpr Kernels tile_kernels() {
    Kernels kernels = kernels_of("amx");
    kernels.has[static_cast<int>(Kind::BF16)] = true;
    kernels.padding[static_cast<int>(Kind::BF16)] = kernels.padding[static_cast<int>(Kind::INT8)] = TILE_WIDTH;
    kernels.prepare = tile_prepare;
    kernels.multiply = tile_multiply;
    kernels.attend = tile_attend;
    kernels.attention_scratch = tile_attention_scratch;
    kernels.begin = begin_tiles;
    kernels.end = end_tiles;
    return kernels;
}

}  // namespace

const Kernels amx_kernels = tile_kernels();

}  // namespace wellread
