// Products in tile registers: bfloat16, and int8 with unsigned inputs.
//
// A block is 32 rows by 2 panels: four tiles of sums, for which each step over the inputs loads two tiles of rows and two
// of weights. What becomes of a block's sums (bias, activation, ...) is done a row at a time between the tile
// instructions of the next block: the two units work beside one another if the vector work comes in small doses.
#ifndef WELLREAD_TILE_PRODUCTS_HPP
#define WELLREAD_TILE_PRODUCTS_HPP

#include "products.hpp"
#include "tiles.hpp"

namespace {

constexpr int BLOCK_ROWS = 2 * TILE_ROWS, BLOCK_WIDTH = 2 * PANEL;

// Activations to 2e-4 rather than to 2e-7, for where bfloat16 was asked for.
constexpr int ROUGH_GELU = 16, ROUGH_GELU_TANH = 17;

// x Phi(x) with Phi(x) = 1/2 + x P(x^2) on [-3.9, 3.9], where it is 0 or 1 from; fitted as those in rows.hpp.
template <int ACTIVATION> V activate_roughly(V x) {
    const float gelu[] = {0.398481282f,    -0.0652816855f,   0.00906781601f, -0.00087204739f,
                          5.37863655e-05f, -1.88841037e-06f, 2.84273865e-08f};
    const float gelu_tanh[] = {0.397953909f,    -0.0649488728f,   0.00898655f,   -0.000860607381f,
                               5.28135968e-05f, -1.84334219e-06f, 2.7570191e-08f};
    const V a = Isa::max(Isa::min(x, Isa::set(3.9f)), Isa::set(-3.9f));
    const V p = polynomial(Isa::mul(a, a), ACTIVATION == ROUGH_GELU ? gelu : gelu_tanh);
    return Isa::mul(x, Isa::fma(a, p, Isa::set(0.5f)));
}

// Rows in the order of tiles: [m / 16][K / 64 bytes][16][64 bytes]. So a tile is read from beginning to end.
inline char *tile_row(char *to, int row, int row_bytes) {
    return to + static_cast<size_t>(row / TILE_ROWS * TILE_ROWS) * row_bytes + row % TILE_ROWS * TILE_WIDTH;
}

void bf16_row(const float *x, int columns, char *to) {
    int k = 0;
    for (; k + 32 <= columns; k += 32, to += TILE)
        Isa::store_bits(to, Isa::to_bf16(Isa::load(x + k), Isa::load(x + k + 16)));
    if (k == columns) return;
    float rest[32] = {};  // the weights beyond are 0, but 0 times what was left there may be NaN
    std::memcpy(rest, x + k, static_cast<size_t>(columns - k) * 4);
    Isa::store_bits(to, Isa::to_bf16(Isa::load(rest), Isa::load(rest + 16)));
}

void tile_prepare(const Packed &w, const float *x, int stride, int m, char *to, float *scales, int32_t *zeros) {
    if (w.kind == Kind::F32) return prepare(w, x, stride, m, to, scales, zeros);
    for (int r = 0; r < m; r++) {
        const float *from = x + static_cast<size_t>(r) * stride;
        char *row = tile_row(to, r, w.row_bytes());
        if (w.kind == Kind::BF16)
            bf16_row(from, w.columns, row);
        else
            quantise<int(TILE)>(from, w.input_scales, w.columns, reinterpret_cast<uint8_t *>(row), scales + r,
                                zeros + r);
    }
}

// A product of some panels, block after block.
template <Kind KIND, Then THEN, int ACTIVATION> class TileProduct {
  public:
    TileProduct(const Packed &w, const Rows &rows, int m, const Target &target)
        : w_(w), rows_(rows), m_(m), target_(target) {}

    void run(int first, int count) {
        int n = first;
        for (; n + 2 <= first + count; n += 2) panels<2>(n, (n - first) * PANEL);
        if (n < first + count) panels<1>(n, (n - first) * PANEL);
        finish_rows(BLOCK_ROWS);
    }

  private:
    // N panels from `n` on for all rows
    template <int N> void panels(int n, int column) {
        next_line_ = w_.panel(n + N);
        const int lines = (BLOCK_ROWS * 8 + m_ - 1) / m_;  // so that 2 panels are fetched while 2 are in use
        lines_ = lines < 16 ? lines : 16;
        for (int r = 0; r < m_; r += BLOCK_ROWS) {
            const char *a = rows_.values + static_cast<size_t>(r) * w_.row_bytes();
            if (m_ - r > TILE_ROWS)
                block<2, N>(a, n);
            else
                block<1, N>(a, n);
            finish_rows(BLOCK_ROWS);  // what is left of the block behind
            row_ = r;
            end_ = m_ - r < BLOCK_ROWS ? m_ : r + BLOCK_ROWS;
            panel_ = n;
            panels_ = N;
            column_ = column;
            side_ ^= 1;
        }
    }

    // M tiles of rows at `a` times N panels from `n` on
    template <int M, int N> void block(const char *a, int n) {
        const char *b = w_.panel(n);
        const int row_bytes = w_.row_bytes(), steps = row_bytes / TILE_WIDTH;
        const int dose = (end_ - row_ + M * N * steps - 1) / (M * N * steps);
        const size_t next_rows = static_cast<size_t>(TILE_ROWS) * row_bytes, next_panel = next_rows;
        start<0>(n);
        if constexpr (N == 2) start<1>(n + 1);
        if constexpr (M == 2) start<2>(n);
        if constexpr (M == 2 && N == 2) start<3>(n + 1);
        for (int k = 0; k < steps; k++, a += TILE, b += TILE) {
            Tiles::stream<4>(a, TILE_WIDTH);  // panels stay in the nearest cache for all rows, the rows pass through it
            Tiles::load<6>(b, TILE_WIDTH);
            dot<0, 4, 6>(dose);
            if constexpr (N == 2) {
                Tiles::load<7>(b + next_panel, TILE_WIDTH);
                dot<1, 4, 7>(dose);
            }
            if constexpr (M == 2) {
                Tiles::stream<5>(a + next_rows, TILE_WIDTH);
                dot<2, 5, 6>(dose);
                if constexpr (N == 2) dot<3, 5, 7>(dose);
            }
        }
        float *sums = sums_[side_];
        constexpr size_t STRIDE = BLOCK_WIDTH * 4;
        Tiles::store<0>(sums, STRIDE);
        if constexpr (N == 2) Tiles::store<1>(sums + PANEL, STRIDE);
        if constexpr (M == 2) Tiles::store<2>(sums + TILE_ROWS * BLOCK_WIDTH, STRIDE);
        if constexpr (M == 2 && N == 2) Tiles::store<3>(sums + TILE_ROWS * BLOCK_WIDTH + PANEL, STRIDE);
    }

    // Sums begin with the bias: all 16 rows of the tile are the same one.
    template <int C> void start(int n) {
        if constexpr (KIND == Kind::BF16)
            Tiles::load<C>(w_.bias + n * PANEL, 0);
        else
            Tiles::zero<C>();
    }

    template <int C, int A, int B> void dot(int dose) {
        if constexpr (KIND == Kind::BF16)
            Tiles::dot_bf16<C, A, B>();
        else
            Tiles::dot_bytes<C, A, B>();
        finish_rows(dose);
        for (int i = 0; i < lines_; i++, next_line_ += 64) __builtin_prefetch(next_line_, 0, 2);
    }

    // The next rows of the block behind.
    void finish_rows(int count) {
        for (; count && row_ < end_; count--, row_++) finish_row(row_);
    }

    [[gnu::noinline]] void finish_row(int r) {
        const float *sums = sums_[side_ ^ 1] + r % BLOCK_ROWS * BLOCK_WIDTH;
        float *to = target_.values + static_cast<size_t>(r) * target_.stride + column_;
        for (int p = 0; p < panels_; p++, sums += PANEL, to += PANEL) {
            V x = Isa::load(sums);
            if constexpr (KIND == Kind::INT8) {
                const int at = (panel_ + p) * PANEL;
                const Isa::I whole = Isa::load_int(reinterpret_cast<const int32_t *>(sums));
                x = Isa::to_float(Isa::minus_times(whole, rows_.zeros[r], Isa::load_int(w_.sums + at)));
                const V scale = Isa::mul(Isa::load(w_.scales + at), Isa::set(rows_.scales[r]));
                x = Isa::fma(x, scale, Isa::load(w_.bias + at));
            }
            if constexpr (ACTIVATION >= ROUGH_GELU)
                Isa::store(to, activate_roughly<ACTIVATION>(x));
            else
                finish<THEN, ACTIVATION>(to, x);
        }
    }

    const Packed &w_;
    const Rows &rows_;
    const int m_;
    const Target &target_;
    alignas(64) float sums_[2][BLOCK_ROWS * BLOCK_WIDTH];
    int side_ = 0;           // of sums_, for the block in work
    int row_ = 0, end_ = 0;  // of the block behind: the rows that are left
    int panel_ = 0, panels_ = 0, column_ = 0;
    const char *next_line_ = nullptr;  // of the panels that come next
    int lines_ = 0;
};

template <Kind KIND, Then THEN, int ACTIVATION>
void tile_product(const Packed &w, const Rows &rows, int m, int first, int count, const Target &target) {
    TileProduct<KIND, THEN, ACTIVATION>(w, rows, m, target).run(first, count);
}

template <int CODE> struct Code {
    static constexpr int value = CODE;
};

template <Kind KIND>
void tile_products(const Packed &w, const Rows &rows, int m, int first, int count, const Target &target) {
    if (target.then == Then::ADD)
        return tile_product<KIND, Then::ADD, WELLREAD_IDENTITY>(w, rows, m, first, count, target);
    const auto activation = [&](auto code) {
        tile_product<KIND, Then::STORE, decltype(code)::value>(w, rows, m, first, count, target);
    };
    switch (target.activation) {
    case WELLREAD_GELU: return w.rough ? activation(Code<ROUGH_GELU>{}) : activation(Code<WELLREAD_GELU>{});
    case WELLREAD_GELU_TANH:
        return w.rough ? activation(Code<ROUGH_GELU_TANH>{}) : activation(Code<WELLREAD_GELU_TANH>{});
    case WELLREAD_RELU: return activation(Code<WELLREAD_RELU>{});
    case WELLREAD_TANH: return activation(Code<WELLREAD_TANH>{});
    default: return activation(Code<WELLREAD_IDENTITY>{});
    }
}

void tile_multiply(const Packed &w, const Rows &rows, int m, int first, int count, const Target &target) {
    switch (w.kind) {
    case Kind::F32: return multiply(w, rows, m, first, count, target);
    case Kind::BF16: return tile_products<Kind::BF16>(w, rows, m, first, count, target);
    case Kind::INT8: return tile_products<Kind::INT8>(w, rows, m, first, count, target);
    }
}

void begin_tiles() { Tiles::configure(TileShapes{}); }
void end_tiles() { Tiles::release(); }

}  // namespace

#endif
