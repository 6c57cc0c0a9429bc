// Attention in tile registers, where bfloat16 was asked for: 16 queries at a time against all keys of their text.
#ifndef WELLREAD_TILE_ATTENTION_HPP
#define WELLREAD_TILE_ATTENTION_HPP

#include "attention.hpp"
#include "tile_products.hpp"

namespace {

constexpr int KEYS = 32;  // of a step: a row of a tile of probabilities

// 2^x to 8e-5 of itself for x from -126 to 0, fitted as the one in rows.hpp
V exp2_roughly(V x) {
    const float coefficients[] = {0.999928014f, 0.693261015f, 0.242612139f, 0.0551720698f};
    x = Isa::max(x, Isa::set(-126.0f));
    const V n = Isa::round(x);
    return Isa::mul(polynomial(Isa::sub(x, n), coefficients), Isa::power_of_two(n));
}

// The buffers of one head, of K numbers, for `keys` keys rounded up to whole steps. All are in the order of tiles.
template <int K> struct TileHead {
    static constexpr int KEY_TILES = K / 32;    // 32 numbers of a query, or of 16 keys, fill a tile
    static constexpr int VALUE_TILES = K / 16;  // and 16 numbers of 32 values

    int steps;
    char *query;          // [KEY_TILES][16 queries][32]
    char *keys;           // [keys / 16][KEY_TILES][16 pairs of numbers][16 keys]
    char *values;         // [keys / 32][VALUE_TILES][16 pairs of keys][16 numbers]
    char *probabilities;  // [keys / 32][16 queries][32 keys]
    float *scores;        // [keys / 32][16 queries][32 keys]
    float *mask;          // [keys], added to scores
    float *mixed;         // [16 queries][K]

    TileHead(float *scratch, int key_count) : steps(rounded(key_count, KEYS) / KEYS) {
        const size_t all = static_cast<size_t>(steps) * KEYS;
        const auto take = [&](size_t floats) {
            float *at = scratch;
            scratch += floats;
            return at;
        };
        query = reinterpret_cast<char *>(take(TILE_ROWS * K / 2));
        keys = reinterpret_cast<char *>(take(all * K / 2));
        values = reinterpret_cast<char *>(take(all * K / 2));
        probabilities = reinterpret_cast<char *>(take(all * TILE_ROWS / 2));
        scores = take(all * TILE_ROWS);
        mask = take(all);
        mixed = take(TILE_ROWS * K);
    }
    static size_t floats(int key_count) {
        const size_t all = static_cast<size_t>(rounded(key_count, KEYS));
        return all * (K + TILE_ROWS * 3 / 2 + 1) + TILE_ROWS * K * 3 / 2;
    }

    // What is added to scores: keys that are masked, and those beyond the last, get no weight.
    void set_mask(const uint8_t *given, int count) {
        for (int j = 0; j < steps * KEYS; j++) mask[j] = j >= count ? -3e38f : given && !given[j] ? MASKED : 0.0f;
    }

    // Rows of 32 numbers become columns of pairs. Keys beyond the last are 0.
    void set_keys(const float *from, size_t stride, int count) {
        char *to = keys;
        for (int n = 0; n < steps * KEYS; n += 16) {
            for (int i = 0; i < K; i += 32, to += TILE) {
                Isa::I rows[16];
                for (int j = 0; j < 16; j++) {
                    const float *row = from + static_cast<size_t>(n + j) * stride + i;
                    rows[j] = n + j < count ? Isa::to_bf16(Isa::load(row), Isa::load(row + 16)) : Isa::zero();
                }
                Isa::transpose(rows);
                for (int j = 0; j < 16; j++) Isa::store_bits(to + j * TILE_WIDTH, rows[j]);
            }
        }
    }

    // Two values side by side, number by number. Values beyond the last are 0: what lies there may be NaN.
    void set_values(const float *from, size_t stride, int count) {
        char *to = values;
        for (int n = 0; n < steps * KEYS; n += KEYS) {
            for (int i = 0; i < K; i += 16) {
                for (int j = n; j < n + KEYS; j += 2, to += TILE_WIDTH) {
                    const float *row = from + static_cast<size_t>(j) * stride + i;
                    const V first = j < count ? Isa::load(row) : Isa::set(0.0f);
                    const V second = j + 1 < count ? Isa::load(row + stride) : Isa::set(0.0f);
                    Isa::store_bits(to, Isa::to_bf16_pairs(first, second));
                }
            }
        }
    }

    void set_queries(const float *from, size_t stride, int count) {
        for (int r = 0; r < count; r++) bf16_row(from + static_cast<size_t>(r) * stride, K, query + r * TILE_WIDTH);
    }

    void score() const {
        Tiles::load<4>(query, TILE_WIDTH);
        if constexpr (KEY_TILES == 2) Tiles::load<5>(query + TILE, TILE_WIDTH);
        const char *b = keys;
        for (int n = 0; n < steps; n++, b += 2 * KEY_TILES * TILE) {
            score_tile<0>(b);
            score_tile<1>(b + KEY_TILES * TILE);
            float *to = scores + n * TILE_ROWS * KEYS;
            Tiles::store<0>(to, KEYS * 4);
            Tiles::store<1>(to + 16, KEYS * 4);
        }
    }
    template <int C> static void score_tile(const char *b) {
        Tiles::zero<C>();
        Tiles::load<6>(b, TILE_WIDTH);
        Tiles::dot_bf16<C, 4, 6>();
        if constexpr (KEY_TILES == 2) {
            Tiles::load<7>(b + TILE, TILE_WIDTH);
            Tiles::dot_bf16<C, 5, 7>();
        }
    }

    // Scores of query r += biases of all keys.
    void add(int r, const float *biases) const {
        for (int n = 0; n < steps; n++) add_to(scores + (n * TILE_ROWS + r) * KEYS, biases + n * KEYS, KEYS);
    }

    // Scores of query r become probabilities, but for a factor, which is returned.
    float weigh(int r) const {
        const float *row = scores + r * KEYS;
        V top = Isa::set(-3e38f), total = Isa::set(0.0f);
        const auto score = [&](int n, int half) {
            return Isa::add(Isa::load(row + n * TILE_ROWS * KEYS + half * 16), Isa::load(mask + n * KEYS + half * 16));
        };
        for (int n = 0; n < steps; n++) top = Isa::max(top, Isa::max(score(n, 0), score(n, 1)));
        const V largest = Isa::set(Isa::largest(top));
        for (int n = 0; n < steps; n++) {
            const V first = exp2_roughly(Isa::sub(score(n, 0), largest));
            const V second = exp2_roughly(Isa::sub(score(n, 1), largest));
            Isa::store_bits(probabilities + static_cast<size_t>(n) * TILE + r * TILE_WIDTH,
                            Isa::to_bf16(first, second));
            total = Isa::add(total, Isa::add(first, second));
        }
        return 1.0f / Isa::sum(total);
    }

    void mix() const {
        Tiles::zero<0>();
        Tiles::zero<1>();
        if constexpr (VALUE_TILES == 4) {
            Tiles::zero<2>();
            Tiles::zero<3>();
        }
        const char *b = values;
        for (int n = 0; n < steps; n++, b += VALUE_TILES * TILE) {
            Tiles::load<4>(probabilities + static_cast<size_t>(n) * TILE, TILE_WIDTH);
            mix_tile<0>(b);
            mix_tile<1>(b);
            if constexpr (VALUE_TILES == 4) {
                mix_tile<2>(b);
                mix_tile<3>(b);
            }
        }
        Tiles::store<0>(mixed, K * 4);
        Tiles::store<1>(mixed + 16, K * 4);
        if constexpr (VALUE_TILES == 4) {
            Tiles::store<2>(mixed + 32, K * 4);
            Tiles::store<3>(mixed + 48, K * 4);
        }
    }
    template <int C> static void mix_tile(const char *b) {
        Tiles::load<6 + C % 2>(b + C * TILE, TILE_WIDTH);
        Tiles::dot_bf16<C, 4, 6 + C % 2>();
    }
};

template <int K> void tile_attend_heads(const Heads &heads, const Span &span) {
    const size_t stride = static_cast<size_t>(heads.width);
    TileHead<K> head(heads.scratch, span.keys);
    head.set_mask(span.mask, span.keys);
    for (int h = 0; h < heads.heads; h++) {
        head.set_keys(heads.key + span.key * stride + h * K, stride, span.keys);
        head.set_values(heads.value + span.key * stride + h * K, stride, span.keys);
        for (int q = 0; q < span.queries; q += TILE_ROWS) {
            const int here = span.queries - q < TILE_ROWS ? span.queries - q : TILE_ROWS;
            const size_t at = (span.query + q) * stride + h * K;
            head.set_queries(heads.query + at, stride, here);
            head.score();
            if (heads.relative.values)
                for (int r = 0; r < here; r++) head.add(r, heads.relative.of(h, q + r));
            float factors[TILE_ROWS];
            for (int r = 0; r < here; r++) factors[r] = head.weigh(r);
            head.mix();
            for (int r = 0; r < here; r++)
                for (int i = 0; i < K; i += 16)
                    Isa::store(heads.mixed + at + r * stride + i,
                               Isa::mul(Isa::load(head.mixed + r * K + i), Isa::set(factors[r])));
        }
    }
}

void tile_attend(const Heads &heads, const Span &span) {
    if (!heads.rough) return attend(heads, span);
    heads.width / heads.heads == 32 ? tile_attend_heads<32>(heads, span) : tile_attend_heads<64>(heads, span);
}

size_t tile_attention_scratch(int keys, int head_width) {
    const size_t plain = attention_scratch(keys, head_width);
    const size_t tiles = head_width == 32 ? TileHead<32>::floats(keys) : TileHead<64>::floats(keys);
    return plain > tiles ? plain : tiles;
}

}  // namespace

#endif
