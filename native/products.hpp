// Products of rows with packed weights: tiles of rows and panels that stay in registers.
//
// Each number of a product is summed over the inputs in their order by itself, so that neither its neighbours nor the
// height of the tile that it fell into change its bits.
#ifndef WELLREAD_PRODUCTS_HPP
#define WELLREAD_PRODUCTS_HPP

#include "rows.hpp"

namespace {

using wellread::Kind;
using wellread::Packed;
using wellread::PANEL;
using wellread::Rows;
using wellread::Target;
using wellread::Then;

constexpr int FEW_ROWS = 64;  // of one text, say

// R rows of a [.., K] times P panels b of [K][16]. With AHEAD, the panels behind them are fetched meanwhile.
template <int R, int P, bool AHEAD = false>
inline void float_tile(const float *a, size_t a_stride, const float *b, size_t panel, int k, V (&c)[R][P]) {
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) c[r][p] = Isa::set(0.0f);
    for (int i = 0; i < k; i++, b += PANEL) {
        V w[P];
        for (int p = 0; p < P; p++) w[p] = Isa::load(b + p * panel);
        if constexpr (AHEAD)
            for (int p = 0; p < P; p++) __builtin_prefetch(b + (P + p) * panel);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const V x = Isa::set(a[r * a_stride + i]);
            for (int p = 0; p < P; p++) c[r][p] = Isa::fma(x, w[p], c[r][p]);
        }
    }
}

template <int R, int P>
inline void int8_tile(const uint8_t *a, size_t a_stride, const int8_t *b, size_t panel, int k, Isa::I (&c)[R][P]) {
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) c[r][p] = Isa::zero();
    for (int i = 0; i < k; i += 4, b += 4 * PANEL) {
        Isa::Weights w[P];
        for (int p = 0; p < P; p++) w[p] = Isa::load_weights(b + p * panel);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const Isa::Bytes x = Isa::broadcast(a + r * a_stride + i);
            for (int p = 0; p < P; p++) c[r][p] = Isa::dot(c[r][p], x, w[p]);
        }
    }
}

template <Then THEN, int ACTIVATION> inline void finish(float *to, V x) {
    x = activate<ACTIVATION>(x);
    Isa::store(to, THEN == Then::ADD ? Isa::add(Isa::load(to), x) : x);
}

template <Then THEN, int ACTIVATION, int P>
void float_panels(const Packed &w, const Rows &rows, int m, int n, int column, const Target &target) {
    constexpr int R = Isa::ROWS;
    const float *b = reinterpret_cast<const float *>(w.panel(n));
    const size_t a_stride = static_cast<size_t>(rows.stride) / 4, panel = static_cast<size_t>(PANEL) * w.padded;
    for (int r0 = 0; r0 < m; r0 += R) {
        V c[R][P];
        const float *a = reinterpret_cast<const float *>(rows.values) + r0 * a_stride;
        // few rows wait for their weights rather than for their products
        if (r0 == 0 && m <= FEW_ROWS)
            float_tile<R, P, true>(a, a_stride, b, panel, w.padded, c);
        else
            float_tile<R, P>(a, a_stride, b, panel, w.padded, c);
        float *to = target.values + static_cast<size_t>(r0) * target.stride + column;
        for (int p = 0; p < P; p++) {
            const V bias = Isa::load(w.bias + (n + p) * PANEL);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++)
                finish<THEN, ACTIVATION>(to + static_cast<size_t>(r) * target.stride + p * PANEL,
                                         Isa::add(c[r][p], bias));
        }
    }
}

template <Then THEN, int ACTIVATION, int P>
void int8_panels(const Packed &w, const Rows &rows, int m, int n, int column, const Target &target) {
    constexpr int R = Isa::INT8_ROWS;
    const int8_t *b = reinterpret_cast<const int8_t *>(w.panel(n));
    const size_t a_stride = static_cast<size_t>(rows.stride), panel = static_cast<size_t>(PANEL) * w.padded;
    for (int r0 = 0; r0 < m; r0 += R) {
        Isa::I c[R][P];
        int8_tile<R, P>(reinterpret_cast<const uint8_t *>(rows.values) + r0 * a_stride, a_stride, b, panel, w.padded,
                        c);
        float *to = target.values + static_cast<size_t>(r0) * target.stride + column;
        for (int p = 0; p < P; p++) {
            const V bias = Isa::load(w.bias + (n + p) * PANEL), scales = Isa::load(w.scales + (n + p) * PANEL);
            const Isa::I sums = Isa::load_int(w.sums + (n + p) * PANEL);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                const V product = Isa::to_float(Isa::minus_times(c[r][p], rows.zeros[r0 + r], sums));
                const V scale = Isa::mul(scales, Isa::set(rows.scales[r0 + r]));
                finish<THEN, ACTIVATION>(to + static_cast<size_t>(r) * target.stride + p * PANEL,
                                         Isa::fma(product, scale, bias));
            }
        }
    }
}

template <Then THEN, int ACTIVATION>
void all_panels(const Packed &w, const Rows &rows, int m, int first, int count, const Target &target) {
    int n = first;
    if (w.kind == Kind::INT8) {
        for (; n + Isa::INT8_PANELS <= first + count; n += Isa::INT8_PANELS)
            int8_panels<THEN, ACTIVATION, Isa::INT8_PANELS>(w, rows, m, n, (n - first) * PANEL, target);
        for (; n < first + count; n++) int8_panels<THEN, ACTIVATION, 1>(w, rows, m, n, (n - first) * PANEL, target);
    } else {
        for (; n + Isa::PANELS <= first + count; n += Isa::PANELS)
            float_panels<THEN, ACTIVATION, Isa::PANELS>(w, rows, m, n, (n - first) * PANEL, target);
        for (; n < first + count; n++) float_panels<THEN, ACTIVATION, 1>(w, rows, m, n, (n - first) * PANEL, target);
    }
}

void multiply(const Packed &w, const Rows &rows, int m, int first, int count, const Target &target) {
    if (target.then == Then::ADD) return all_panels<Then::ADD, WELLREAD_IDENTITY>(w, rows, m, first, count, target);
    switch (target.activation) {
    case WELLREAD_GELU: return all_panels<Then::STORE, WELLREAD_GELU>(w, rows, m, first, count, target);
    case WELLREAD_GELU_TANH: return all_panels<Then::STORE, WELLREAD_GELU_TANH>(w, rows, m, first, count, target);
    case WELLREAD_RELU: return all_panels<Then::STORE, WELLREAD_RELU>(w, rows, m, first, count, target);
    case WELLREAD_TANH: return all_panels<Then::STORE, WELLREAD_TANH>(w, rows, m, first, count, target);
    default: return all_panels<Then::STORE, WELLREAD_IDENTITY>(w, rows, m, first, count, target);
    }
}

void prepare(const Packed &w, const float *x, int stride, int m, char *to, float *scales, int32_t *zeros) {
    const int bytes = w.row_bytes();
    for (int r = 0; r < m; r++) {
        const float *from = x + static_cast<size_t>(r) * stride;
        char *row = to + static_cast<size_t>(r) * bytes;
        if (w.kind == Kind::INT8)
            quantise(from, w.input_scales, w.columns, reinterpret_cast<uint8_t *>(row), scales + r, zeros + r);
        else
            std::memcpy(row, from, static_cast<size_t>(w.columns) * 4);
        // the weights beyond are 0, but 0 times what was left there may be NaN
        const int used = w.columns * wellread::element_size(w.kind);
        std::memset(row + used, 0, static_cast<size_t>(bytes - used));
    }
}

}  // namespace

#endif
