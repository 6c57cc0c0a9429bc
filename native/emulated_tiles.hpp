// The tile registers of AMX in plain C++, with the checks that the CPU makes: where it would raise an exception, this
// ends the process.
#ifndef WELLREAD_EMULATED_TILES_HPP
#define WELLREAD_EMULATED_TILES_HPP

#include <cmath>
#include <cstring>

#include "tiles.hpp"

namespace {

// What a thread holds. Palette 0: nothing is configured.
struct TileRegisters {
    TileShapes shapes;
    alignas(64) uint8_t bytes[8][TILE_ROWS][TILE_WIDTH];
};
inline TileRegisters &registers() {
    static thread_local TileRegisters mine = [] {
        TileRegisters none{};
        none.shapes.palette = 0;
        return none;
    }();
    return mine;
}
inline void demand(bool fine) {
    if (!fine) __builtin_trap();
}

// Numbers too small for a normal float count as 0, before and after.
inline float flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
inline float from_bf16(const uint8_t *bytes) {
    float x = 0;
    std::memcpy(reinterpret_cast<char *>(&x) + 2, bytes, 2);
    return flush(x);
}

struct Tiles {
    static void configure(const TileShapes &shapes) {
        demand(shapes.palette == 1 && shapes.start_row == 0);
        for (int i = 0; i < 16; i++)
            demand(i < 8 ? shapes.rows[i] <= TILE_ROWS && shapes.bytes[i] <= TILE_WIDTH && shapes.bytes[i] % 4 == 0
                         : !shapes.rows[i] && !shapes.bytes[i]);
        registers() = TileRegisters{};
        registers().shapes = shapes;
    }
    static void release() { registers().shapes.palette = 0; }

    template <int C> static void zero() { std::memset(use(C), 0, TILE); }
    template <int A> static void load(const void *rows, size_t stride) {
        uint8_t (*to)[TILE_WIDTH] = use(A);
        std::memset(to, 0, TILE);
        for (size_t r = 0; r < height(A); r++)
            std::memcpy(to[r], static_cast<const char *>(rows) + r * stride, width(A));
    }
    template <int A> static void stream(const void *rows, size_t stride) { load<A>(rows, stride); }
    template <int C> static void store(void *rows, size_t stride) {
        const uint8_t (*from)[TILE_WIDTH] = use(C);
        for (size_t r = 0; r < height(C); r++) std::memcpy(static_cast<char *>(rows) + r * stride, from[r], width(C));
    }

    // TDPBF16PS as Intel's manual has it: the first and the second of the pairs are summed apart, each product is fused
    // with its addition, and the two sums meet before they join what is there.
    template <int C, int A, int B> static void dot_bf16() {
        float b[TILE_ROWS][2][16];  // the first ones of the pairs, and the second
        for (size_t k = 0; k < width(A) / 4; k++)
            for (size_t n = 0; n < 32; n++) b[k][n % 2][n / 2] = from_bf16(use(B)[k] + 2 * n);
        for (size_t m = 0; m < matched<C, A, B>(); m++) {
            float sums[2][16] = {}, c[16];
            for (size_t k = 0; k < width(A) / 4; k++)
                for (size_t half = 0; half < 2; half++) {
                    const float a = from_bf16(use(A)[m] + 4 * k + 2 * half);
                    for (int n = 0; n < 16; n++) sums[half][n] = flush(std::fma(a, b[k][half][n], sums[half][n]));
                }
            std::memcpy(c, use(C)[m], TILE_WIDTH);
            for (int n = 0; n < 16; n++) c[n] = flush(flush(c[n]) + flush(sums[0][n] + sums[1][n]));
            std::memcpy(use(C)[m], c, width(C));
        }
    }
    template <int C, int A, int B> static void dot_bytes() {
        for (size_t m = 0; m < matched<C, A, B>(); m++) {
            uint32_t c[16];
            std::memcpy(c, use(C)[m], TILE_WIDTH);
            for (size_t k = 0; k < width(A) / 4; k++) {
                int8_t b[64];
                std::memcpy(b, use(B)[k], TILE_WIDTH);
                for (int n = 0; n < 16; n++)
                    for (int j = 0; j < 4; j++)
                        c[n] += static_cast<uint32_t>(use(A)[m][4 * k + static_cast<size_t>(j)] * b[4 * n + j]);
            }
            std::memcpy(use(C)[m], c, width(C));
        }
    }

  private:
    static uint8_t (*use(int i)) [TILE_WIDTH] {
        demand(registers().shapes.palette == 1);
        return registers().bytes[i];
    } static size_t height(int i) {
        return registers().shapes.rows[i];
    }
    static size_t width(int i) { return registers().shapes.bytes[i]; }
    // The rows of C, if the shapes of a product fit one another.
    template <int C, int A, int B> static size_t matched() {
        static_assert(C != A && C != B && A != B, "three registers");
        demand(height(C) == height(A) && width(C) == width(B) && width(A) == 4 * height(B));
        return height(C);
    }
};

}  // namespace

#endif
