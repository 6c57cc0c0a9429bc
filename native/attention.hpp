// Attention: softmax(Q K') V, head by head, for the queries of one text.
#ifndef WELLREAD_ATTENTION_HPP
#define WELLREAD_ATTENTION_HPP

#include "products.hpp"

namespace {

using wellread::Heads;
using wellread::Span;

constexpr float MASKED = -1e30f;  // swallows any score whole: where all keys are masked, all weigh the same

inline int rounded(int n, int step) { return (n + step - 1) / step * step; }

size_t attention_scratch(int keys, int head_width) {
    const size_t all = static_cast<size_t>(rounded(keys, PANEL));
    return all *
           static_cast<size_t>(2 * head_width + Isa::ROWS);  // panels of keys and values; scores of a tile of queries
}

// keys [keys, K] -> panels of 16 keys, [K][16] each, as the weights of a product; keys beyond the last are 0
inline void pack_keys(const float *keys, size_t stride, int count, int head_width, float *to) {
    for (int n = 0; n < count; n += PANEL, to += static_cast<size_t>(PANEL) * head_width) {
        const int here = count - n < PANEL ? count - n : PANEL;
        for (int j = 0; j < here; j++)
            for (int i = 0; i < head_width; i++) to[i * PANEL + j] = keys[(n + j) * stride + i];
        for (int j = here; j < PANEL; j++)
            for (int i = 0; i < head_width; i++) to[i * PANEL + j] = 0.0f;
    }
}

// values [keys, K] -> panels of 16 of their numbers, [keys][16] each. In place, rows lie a multiple of a large power of
// two apart, so that few of them fit in the cache together.
inline void pack_values(const float *values, size_t stride, int count, int head_width, float *to) {
    for (int n = 0; n < head_width; n += PANEL)
        for (int j = 0; j < count; j++, to += PANEL) Isa::store(to, Isa::load(values + j * stride + n));
}

// scores += biases, in whole panels
inline void add_to(float *scores, const float *biases, int count) {
    for (int j = 0; j < count; j += PANEL)
        Isa::store(scores + j, Isa::add(Isa::load(scores + j), Isa::load(biases + j)));
}

void attend_head(const Heads &heads, const Span &span, int head, int head_width) {
    constexpr int R = Isa::ROWS;
    const size_t stride = static_cast<size_t>(heads.width), at = static_cast<size_t>(head) * head_width;
    const int all = rounded(span.keys, PANEL);
    float *keys = heads.scratch, *values = keys + static_cast<size_t>(all) * head_width;
    float *scores = values + static_cast<size_t>(all) * head_width;
    pack_keys(heads.key + span.key * stride + at, stride, span.keys, head_width, keys);
    pack_values(heads.value + span.key * stride + at, stride, span.keys, head_width, values);
    for (int q = 0; q < span.queries; q += R) {
        const int here = span.queries - q < R ? span.queries - q : R;
        const float *query = heads.query + (span.query + q) * stride + at;
        for (int n = 0; n < all; n += PANEL) {
            V c[R][1];
            float_tile<R, 1>(query, stride, keys + static_cast<size_t>(n) * head_width, 0, head_width, c);
            for (int r = 0; r < R; r++) Isa::store(scores + static_cast<size_t>(r) * all + n, c[r][0]);
        }
        float factors[R];
        for (int r = 0; r < R; r++) {
            float *row = scores + static_cast<size_t>(r) * all;
            if (heads.relative.values && r < here) add_to(row, heads.relative.of(head, q + r), all);
            if (span.mask)
                for (int j = 0; j < span.keys; j++) row[j] += span.mask[j] ? 0.0f : MASKED;
            factors[r] = r < here ? softmax(row, span.keys) : 0.0f;
        }
        for (int n = 0; n < head_width; n += PANEL) {
            V c[R][1];
            float_tile<R, 1>(scores, static_cast<size_t>(all), values + static_cast<size_t>(n) * span.keys, 0,
                             span.keys, c);
            for (int r = 0; r < here; r++)
                Isa::store(heads.mixed + (span.query + q + r) * stride + at + n,
                           Isa::mul(c[r][0], Isa::set(factors[r])));
        }
    }
}

void attend(const Heads &heads, const Span &span) {
    for (int head = 0; head < heads.heads; head++) attend_head(heads, span, head, heads.width / heads.heads);
}

// What a variant offers that computes f32 and int8 as written here and in products.hpp.
constexpr wellread::Kernels kernels_of(const char *name) {
    return {
        name,      {4, 4, 4}, {true, false, true}, prepare,    multiply, layer_norm,
        table_row, attend,    attention_scratch,   add_scaled,
    };
}

}  // namespace

#endif
