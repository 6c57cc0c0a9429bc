// The primitives in plain C++: the oracle of the other variants, and what runs where none of them may.
#ifndef WELLREAD_ISA_PORTABLE_HPP
#define WELLREAD_ISA_PORTABLE_HPP

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

// What every ISA offers: V, 16 floats, and I, 16 integers of 32 bits, whatever the width of its registers.
struct Isa {
    static constexpr int ROWS = 4;       // rows of a tile of a product: as many as stay in registers
    static constexpr int PANELS = 1;     // panels of a tile
    static constexpr int INT8_ROWS = 4;  // the same of int8 products
    static constexpr int INT8_PANELS = 1;
    static constexpr bool HAS_BF16 = false;

    struct V {
        float x[16];
    };
    struct I {
        int32_t x[16];
    };

    template <class F> static V each(F f) {
        V v;
        for (int i = 0; i < 16; i++) v.x[i] = f(i);
        return v;
    }
    static V set(float a) {
        return each([&](int) { return a; });
    }
    static V load(const float *p) {
        return each([&](int i) { return p[i]; });
    }
    static void store(float *p, V a) { std::memcpy(p, a.x, sizeof a.x); }
    static V add(V a, V b) {
        return each([&](int i) { return a.x[i] + b.x[i]; });
    }
    static V sub(V a, V b) {
        return each([&](int i) { return a.x[i] - b.x[i]; });
    }
    static V mul(V a, V b) {
        return each([&](int i) { return a.x[i] * b.x[i]; });
    }
    static V div(V a, V b) {
        return each([&](int i) { return a.x[i] / b.x[i]; });
    }
    static V fma(V a, V b, V c) {  // a b + c; rounded once where the CPU has it
        return each([&](int i) { return a.x[i] * b.x[i] + c.x[i]; });
    }
    static V max(V a, V b) {
        return each([&](int i) { return a.x[i] > b.x[i] ? a.x[i] : b.x[i]; });
    }
    static V min(V a, V b) {
        return each([&](int i) { return a.x[i] < b.x[i] ? a.x[i] : b.x[i]; });
    }
    static V round(V a) {  // to the nearest whole number, halves to even
        return each([&](int i) { return std::nearbyint(a.x[i]); });
    }
    static V power_of_two(V n) {  // 2^n for whole n from -126 to 127
        return each([&](int i) {
            const uint32_t bits = uint32_t(int32_t(n.x[i]) + 127) << 23;
            float y;
            std::memcpy(&y, &bits, 4);
            return y;
        });
    }
    static V first(V a, int n, float rest) {  // the first n lanes of a, `rest` in the others
        return each([&](int i) { return i < n ? a.x[i] : rest; });
    }
    // Both fold in halves, so that all variants add in the same order.
    static float sum(V a) {
        for (int n = 8; n; n /= 2)
            for (int i = 0; i < n; i++) a.x[i] += a.x[i + n];
        return a.x[0];
    }
    static float largest(V a) {
        for (int n = 8; n; n /= 2)
            for (int i = 0; i < n; i++) a.x[i] = a.x[i] > a.x[i + n] ? a.x[i] : a.x[i + n];
        return a.x[0];
    }
    static V load_half(const uint16_t *p) {
        return each([&](int i) { return half(p[i]); });
    }
    static V load_int8(const int8_t *p) {
        return each([&](int i) { return float(p[i]); });
    }
    static void store_bytes(uint8_t *p, V a) {  // whole numbers from 0 to 255
        for (int i = 0; i < 16; i++) p[i] = uint8_t(int32_t(a.x[i]));
    }

    static I zero() { return I{}; }
    static I load_int(const int32_t *p) {
        I a;
        std::memcpy(a.x, p, sizeof a.x);
        return a;
    }
    static V to_float(I a) {
        return each([&](int i) { return float(a.x[i]); });
    }
    static I minus_times(I a, int32_t z, I b) {  // a - z b
        for (int i = 0; i < 16; i++) a.x[i] -= z * b.x[i];
        return a;
    }
    // Four unsigned bytes of a row, the same for all lanes; 64 signed bytes of a panel, four a lane.
    using Bytes = const uint8_t *;
    static Bytes broadcast(const uint8_t *p) { return p; }
    using Weights = const int8_t *;
    static Weights load_weights(const int8_t *p) { return p; }
    static I dot(I c, Bytes a, Weights b) {
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 4; j++) c.x[i] += int32_t(a[j]) * b[i * 4 + j];
        return c;
    }

    static float half(uint16_t bits) {  // IEEE 754 binary16
        const uint32_t sign = uint32_t(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
        uint32_t word = sign | ((magnitude << 13) + (112u << 23));
        if (magnitude >= 0x7c00) word = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
        float y;
        if (magnitude < 0x400) {  // subnormal
            y = float(magnitude) * 0x1p-24f;
            return sign ? -y : y;
        }
        std::memcpy(&y, &word, 4);
        return y;
    }
};

}  // namespace

#endif
