// The tile registers of AMX: eight, of 16 rows of 64 bytes each, and products of whole tiles.
//
// Instructions of our own rather than the compiler's intrinsics: GCC's do not say that they read memory, so that stores
// may move behind them, and what is written between two products would not stay there.
#ifndef WELLREAD_TILES_HPP
#define WELLREAD_TILES_HPP

#include <cstddef>
#include <cstdint>

namespace {

constexpr int TILE_ROWS = 16;
constexpr int TILE_WIDTH = 64;  // bytes
constexpr size_t TILE = size_t(TILE_ROWS) * TILE_WIDTH;

// What LDTILECFG reads: how many rows and bytes of each register are in use.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {TILE_WIDTH, TILE_WIDTH, TILE_WIDTH, TILE_WIDTH,
                          TILE_WIDTH, TILE_WIDTH, TILE_WIDTH, TILE_WIDTH};
    uint8_t rows[16] = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS};
};
static_assert(sizeof(TileShapes) == 64, "as the instruction has it");

}  // namespace

#ifdef WELLREAD_EMULATED
#include "emulated_tiles.hpp"
#else

namespace {

// C, A and B are numbers of registers. Rows in memory lie `stride` bytes apart.
struct Tiles {
    // Registers are a thread's own, and cost it at each switch until they are released.
    static void configure(const TileShapes &shapes) { asm volatile("ldtilecfg %0" ::"m"(shapes)); }
    static void release() { asm volatile("tilerelease" ::: "memory"); }

    template <int C> static void zero() { asm volatile("tilezero %%tmm%c0" ::"i"(C)); }
    template <int A> static void load(const void *rows, size_t stride) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(A) : "memory");
    }
    // For what is read once: it does not push out of the nearest cache what is read again and again.
    template <int A> static void stream(const void *rows, size_t stride) {
        asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(A) : "memory");
    }
    template <int C> static void store(void *rows, size_t stride) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(C) : "memory");
    }
    // c[m][n] += the sum of a[m][k] b[k][n] over k, where k stands for a pair of bfloat16
    template <int C, int A, int B> static void dot_bf16() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B) : "memory");
    }
    // the same, where k stands for four bytes: unsigned ones of a, signed ones of b
    template <int C, int A, int B> static void dot_bytes() {
        asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B) : "memory");
    }
};

}  // namespace

#endif
#endif
