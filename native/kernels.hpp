// The table of functions that a variant offers, and the packed weights that they read.
//
// Each variant is compiled by itself, with the flags of its instruction set, from the same templates. Its functions
// stand in a namespace without name: the linker may keep only one copy of a function with a name, and a copy from
// another variant could hold instructions that this CPU lacks. For the same reason a variant takes no container and no
// thread from the standard library.
#ifndef WELLREAD_KERNELS_HPP
#define WELLREAD_KERNELS_HPP

#include <cstddef>
#include <cstdint>

#include "wellread.h"

namespace wellread {

enum class Kind : int32_t { F32, BF16, INT8 };

constexpr int PANEL = 16;       // outputs of a panel
constexpr int SPARE_ROWS = 32;  // rows that a product may read and write beyond those it was asked for
constexpr int SPARE_KEYS = 31;  // keys beyond the last whose scores attention computes, and leaves out

inline int element_size(Kind kind) { return kind == Kind::F32 ? 4 : kind == Kind::BF16 ? 2 : 1; }

// The weights of a linear map in panels of 16 outputs: [K / E][16][E], where E elements fill 4 bytes. So 64 bytes are
// what one step of a product takes for 16 outputs, and a row of a tile of AMX.
struct Packed {
    Kind kind = Kind::F32;
    int rows = 0;     // outputs
    int columns = 0;  // K, inputs
    int padded = 0;   // K rounded up to what a step of the variant takes; the weights beyond are 0
    char *values = nullptr;
    float *bias = nullptr;                // [rows rounded up to 16]
    float *scales = nullptr;              // int8: of each row
    int32_t *sums = nullptr;              // int8: of each row's integers
    const float *input_scales = nullptr;  // int8: [columns] or nothing
    bool rough = false;                   // bfloat16 was asked for: activations behind it may be as rough

    int panels() const { return (rows + PANEL - 1) / PANEL; }
    int row_bytes() const { return padded * element_size(kind); }
    const char *panel(int n) const { return values + static_cast<size_t>(n) * PANEL * row_bytes(); }
};

// Rows [m, K] as a product reads them.
struct Rows {
    const char *values = nullptr;
    int stride = 0;                 // bytes from row to row
    const float *scales = nullptr;  // int8: x = scale (u - zero)
    const int32_t *zeros = nullptr;
};

enum class Then : int32_t { STORE, ADD };  // what becomes of a product: it replaces what is there, or is added to it

struct Target {
    float *values = nullptr;
    int stride = 0;  // floats from row to row
    Then then = Then::STORE;
    int activation = WELLREAD_IDENTITY;
};

// The queries of one text in one call of attention.
struct Span {
    int query = 0, queries = 0;     // rows of the queries, at 0, 1, 2 ... in their text
    int key = 0, keys = 0;          // rows of the keys and values
    const uint8_t *mask = nullptr;  // [keys]
};

// What is added to scores by how far a key lies ahead of the query, in the order of that distance.
struct Relative {
    const float *values = nullptr;  // [H, stride]; nullptr: nothing is added
    int stride = 0, middle = 0;     // numbers of a head; where distance 0 stands

    // Of a query at i to the key at 0; those of the keys behind it follow.
    const float *of(int head, int i) const { return values + static_cast<size_t>(head) * stride + (middle - i); }
};

struct Heads {
    const float *query, *key, *value;  // [rows, D]; queries scaled so that scores are exponents of two
    float *mixed;                      // [rows of the queries, D]
    int width, heads;                  // D, H
    float *scratch;                    // attention_scratch floats
    bool rough;                        // bfloat16 was asked for: scores and probabilities may be rounded to it
    Relative relative;                 // in exponents of two, as scores
};

struct Kernels {
    const char *name;
    int padding[3];  // by Kind: bytes that a row of inputs is rounded up to
    bool has[3];     // by Kind: whether there are such products

    // rows [m, K] of floats -> what a product of `kind` reads, at `to` (padded * element_size bytes a row, in an
    // order of the variant's own)
    void (*prepare)(const Packed &, const float *x, int stride, int m, char *to, float *scales, int32_t *zeros);
    // target [m, 16 count] = rows times the weights of the `count` panels from `first` on
    void (*multiply)(const Packed &, const Rows &, int m, int first, int count, const Target &);
    // x [m, D] = LayerNorm of x
    void (*layer_norm)(float *x, int stride, int m, int width, const float *gain, const float *shift, float eps);
    // to [width] = or += a row of a table
    void (*table_row)(const wellread_matrix &, int64_t row, float *to, bool add);
    void (*attend)(const Heads &, const Span &);
    size_t (*attention_scratch)(int keys, int head_width);  // floats
    // to [D] += weight times x [D]
    void (*add_scaled)(float *to, const float *x, float weight, int width);
    // What a thread calls before and after all of these, if they are there.
    void (*begin)() = nullptr, (*end)() = nullptr;
};

extern const Kernels portable_kernels, avx2_kernels, avx_vnni_kernels, avx512_kernels, avx512_vnni_kernels, amx_kernels;

}  // namespace wellread

#endif
