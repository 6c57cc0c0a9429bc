// What is done to one row at a time: activations, LayerNorm, softmax, quantising, rows of tables.
//
// A row's numbers depend on that row alone, and are added in a fixed order.
#ifndef WELLREAD_ROWS_HPP
#define WELLREAD_ROWS_HPP

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels.hpp"

namespace {

using V = Isa::V;

// Horner's scheme: coefficients from the constant one on.
template <int N> V polynomial(V x, const float (&coefficients)[N]) {
    V y = Isa::set(coefficients[N - 1]);
    for (int i = N - 2; i >= 0; i--) y = Isa::fma(y, x, Isa::set(coefficients[i]));
    return y;
}

// 2^x to 2e-7 of itself, from 2^-126 on: x = n + f with |f| <= 1/2, and a polynomial for 2^f that was fitted to it by
// least squares with weights that level the error (Lawson's method).
V exp2(V x) {
    const float coefficients[] = {1.0f,           0.693147182f,   0.240226462f,   0.0555032864f,
                                  0.00961848907f, 0.00133999309f, 0.000153458108f};
    x = Isa::max(Isa::min(x, Isa::set(127.0f)), Isa::set(-126.0f));
    const V n = Isa::round(x);
    return Isa::mul(polynomial(Isa::sub(x, n), coefficients), Isa::power_of_two(n));
}

// The normal distribution's Phi(x) to 2e-7: 1/2 + x P(x^2) / Q(x^2), fitted in the same way on [-5.4, 5.4], where
// the tails are 3e-8.
V phi(V x) {
    const float p[] = {0.398942173f,    0.0347851105f,    0.00443503587f, 0.000158958428f,
                       3.13343207e-06f, -2.22571224e-08f, 1.16104397e-10f};
    const float q[] = {1.0f, 0.253858298f, 0.028430007f, 0.00176359433f, 5.86764145e-05f};
    x = Isa::max(Isa::min(x, Isa::set(5.4f)), Isa::set(-5.4f));
    const V t = Isa::mul(x, x);
    return Isa::fma(x, Isa::div(polynomial(t, p), polynomial(t, q)), Isa::set(0.5f));
}

// tanh(x) = 1 - 2 / (e^2x + 1)
V tanh(V x) {
    const V e = exp2(Isa::mul(x, Isa::set(2.885390082f)));
    return Isa::sub(Isa::set(1.0f), Isa::div(Isa::set(2.0f), Isa::add(e, Isa::set(1.0f))));
}

template <int ACTIVATION> V activate(V x) {
    if constexpr (ACTIVATION == WELLREAD_GELU) return Isa::mul(x, phi(x));
    if constexpr (ACTIVATION == WELLREAD_GELU_TANH) {
        // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), and (1 + tanh(u)) / 2 = 1 / (1 + e^-2u)
        const V inner = Isa::mul(x, Isa::fma(Isa::mul(x, x), Isa::set(0.044715f), Isa::set(1.0f)));
        const V e = exp2(Isa::mul(inner, Isa::set(-2.302208198f)));  // -2 sqrt(2 / pi) / ln 2
        return Isa::div(x, Isa::add(e, Isa::set(1.0f)));
    }
    if constexpr (ACTIVATION == WELLREAD_RELU) return Isa::max(x, Isa::set(0.0f));
    if constexpr (ACTIVATION == WELLREAD_TANH) return tanh(x);
    return x;
}

void layer_norm(float *x, int stride, int m, int width, const float *gain, const float *shift, float eps) {
    for (int r = 0; r < m; r++) {
        float *row = x + static_cast<size_t>(r) * stride;
        V total = Isa::set(0.0f), squares = Isa::set(0.0f);
        for (int i = 0; i < width; i += 16) total = Isa::add(total, Isa::load(row + i));
        const V mean = Isa::set(Isa::sum(total) / float(width));
        for (int i = 0; i < width; i += 16) {
            const V d = Isa::sub(Isa::load(row + i), mean);
            squares = Isa::fma(d, d, squares);
        }
        const V factor = Isa::set(1.0f / std::sqrt(Isa::sum(squares) / float(width) + eps));
        for (int i = 0; i < width; i += 16) {
            const V d = Isa::mul(Isa::sub(Isa::load(row + i), mean), factor);
            Isa::store(row + i, Isa::fma(d, Isa::load(gain + i), Isa::load(shift + i)));
        }
    }
}

// Scores, which are exponents of two, become probabilities but for their common factor, which is returned. Lanes
// beyond `keys`, of the last 16, become 0.
float softmax(float *scores, int keys) {
    constexpr float LOWEST = -3e38f;
    const int whole = keys / 16 * 16, rest = keys - whole;
    V top = Isa::set(LOWEST), total = Isa::set(0.0f);
    for (int i = 0; i < whole; i += 16) top = Isa::max(top, Isa::load(scores + i));
    if (rest) top = Isa::max(top, Isa::first(Isa::load(scores + whole), rest, LOWEST));
    const V largest = Isa::set(Isa::largest(top));
    for (int i = 0; i < whole; i += 16) {
        const V p = exp2(Isa::sub(Isa::load(scores + i), largest));
        Isa::store(scores + i, p);
        total = Isa::add(total, p);
    }
    if (rest) {
        const V p = Isa::first(exp2(Isa::sub(Isa::load(scores + whole), largest)), rest, 0.0f);
        Isa::store(scores + whole, p);
        total = Isa::add(total, p);
    }
    return 1.0f / Isa::sum(total);
}

// x = scale (u - zero) with u from 0 to 255; 0 itself is one of the steps. From each 64 bytes of the row to the next it is
// STEP bytes.
template <int STEP = 64>
void quantise(const float *x, const float *input_scales, int width, uint8_t *to, float *scale, int32_t *zero) {
    V top = Isa::set(0.0f), bottom = Isa::set(0.0f);
    for (int i = 0; i < width; i += 16) {
        const V a = input_scales ? Isa::mul(Isa::load(x + i), Isa::load(input_scales + i)) : Isa::load(x + i);
        top = Isa::max(top, a);
        bottom = Isa::max(bottom, Isa::sub(Isa::set(0.0f), a));
    }
    const float high = Isa::largest(top), low = Isa::largest(bottom), span = high + low;
    const float step = span > 1e-30f ? span / 255.0f : 1.0f, inverse = 1.0f / step;
    const float shift = std::nearbyint(low * inverse);
    const V factor = Isa::set(inverse), offset = Isa::set(shift);
    for (int i = 0; i < width; i += 16) {
        const V a = input_scales ? Isa::mul(Isa::load(x + i), Isa::load(input_scales + i)) : Isa::load(x + i);
        const V u = Isa::add(Isa::round(Isa::mul(a, factor)), offset);
        Isa::store_bytes(to + (STEP == 64 ? i : i / 64 * STEP + i % 64),
                         Isa::max(Isa::min(u, Isa::set(255.0f)), Isa::set(0.0f)));
    }
    *scale = step;
    *zero = static_cast<int32_t>(shift);
}

void table_row(const wellread_matrix &table, int64_t row, float *to, bool add) {
    const size_t at = static_cast<size_t>(row) * static_cast<size_t>(table.columns);
    const V scale = Isa::set(table.dtype == WELLREAD_INT8 ? table.scales[row] : 1.0f);
    for (int i = 0; i < table.columns; i += 16) {
        V x;
        if (table.dtype == WELLREAD_F16)
            x = Isa::load_half(static_cast<const uint16_t *>(table.values) + at + i);
        else if (table.dtype == WELLREAD_INT8)
            x = Isa::mul(Isa::load_int8(static_cast<const int8_t *>(table.values) + at + i), scale);
        else
            x = Isa::load(static_cast<const float *>(table.values) + at + i);
        Isa::store(to + i, add ? Isa::add(Isa::load(to + i), x) : x);
    }
}

void add_scaled(float *to, const float *x, float weight, int width) {
    for (int i = 0; i < width; i += 16)
        Isa::store(to + i, Isa::fma(Isa::load(x + i), Isa::set(weight), Isa::load(to + i)));
}

}  // namespace

#endif
