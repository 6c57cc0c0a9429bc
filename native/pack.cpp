// Weights as they are given -> panels; see Packed.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "encoder.hpp"

// Under AddressSanitizer what lies between two arrays of an arena must not be touched.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes) ((void)(start), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes) ((void)(start), (void)(bytes))
#endif

namespace wellread {

namespace {

constexpr int LONGEST_CHUNK = 512;  // columns of the inner layer that are in work at a time
constexpr size_t HUGE_PAGE = size_t(2) << 20, SMALL_PIECE = size_t(256) << 10;
constexpr float LOG2_E = 1.4426950408889634f;

uint16_t to_bf16(float x) {
    uint32_t word;
    std::memcpy(&word, &x, 4);
    return static_cast<uint16_t>((word + 0x7fff + ((word >> 16) & 1)) >> 16);
}

// What of a matrix is packed, and how.
struct Part {
    const wellread_matrix &matrix;
    int first_row, rows, first_column, columns;
    float factor;    // of what comes out
    bool with_bias;  // only the first chunk of a sum has it
};

bool is_matrix(const wellread_matrix &m, int rows, int columns) {
    const bool known = m.dtype == WELLREAD_F32 || (m.dtype == WELLREAD_INT8 && m.scales && columns % 16 == 0);
    return m.values && known && m.rows == rows && m.columns == columns && rows > 0 && columns > 0;
}

bool is_table(const wellread_matrix &m, int columns) {
    return m.values && m.columns == columns && m.rows > 0 && m.dtype != WELLREAD_BF16 &&
           (m.dtype != WELLREAD_INT8 || m.scales);
}

const float *keep(Arena &arena, const float *values, int count) {
    float *copy = arena.take<float>(static_cast<size_t>((count + PANEL - 1) / PANEL * PANEL));
    if (values) std::copy(values, values + count, copy);
    return copy;
}

// Writes a panel from its beginning to its end: `element` gives what stands at a place of the matrix, for an output.
template <class T, class F> void fill_panels(const Packed &p, const Part &part, F element) {
    constexpr int EACH = 4 / sizeof(T);
    const size_t stride = static_cast<size_t>(part.matrix.columns);
    for (int n = 0; n < p.panels(); n++) {
        T *to = reinterpret_cast<T *>(p.values) + static_cast<size_t>(n) * PANEL * static_cast<size_t>(p.padded);
        const int outputs = std::min(PANEL, p.rows - n * PANEL);
        const size_t from =
            static_cast<size_t>(part.first_row + n * PANEL) * stride + static_cast<size_t>(part.first_column);
        for (int k = 0; k < p.columns; k++)
            for (int r = 0; r < outputs; r++)
                to[(k / EACH * PANEL + r) * EACH + k % EACH] =
                    element(from + static_cast<size_t>(r) * stride + static_cast<size_t>(k), n * PANEL + r);
    }
}

Packed pack(Arena &arena, const Kernels &kernels, Kind kind, const Part &part) {
    const wellread_matrix &m = part.matrix;
    Packed p;
    p.kind = m.dtype == WELLREAD_INT8 ? Kind::INT8 : kind;
    p.rough = kind == Kind::BF16;
    const int size = element_size(p.kind), step = kernels.padding[static_cast<int>(p.kind)] / size;
    p.rows = part.rows;
    p.columns = part.columns;
    p.padded = (part.columns + step - 1) / step * step;
    const size_t outputs = static_cast<size_t>(p.panels()) * PANEL;
    p.values = arena.take<char>(outputs * static_cast<size_t>(p.row_bytes()));
    p.bias = arena.take<float>(outputs);
    if (p.kind == Kind::INT8) {
        p.scales = arena.take<float>(outputs);
        p.sums = arena.take<int32_t>(outputs);
        if (m.input_scales) p.input_scales = keep(arena, m.input_scales + part.first_column, part.columns);
    }
    for (int r = 0; r < part.rows; r++) {
        const int row = part.first_row + r;
        if (part.with_bias && m.bias) p.bias[r] = m.bias[row] * part.factor;
        if (p.kind == Kind::INT8) p.scales[r] = m.scales[row] * part.factor;
    }
    if (p.kind == Kind::INT8) {
        const auto *values = static_cast<const int8_t *>(m.values);
        fill_panels<int8_t>(p, part, [&](size_t at, int r) {
            p.sums[r] += values[at];
            return values[at];
        });
    } else if (p.kind == Kind::BF16) {
        const auto *values = static_cast<const float *>(m.values);
        fill_panels<uint16_t>(p, part, [&](size_t at, int) { return to_bf16(values[at] * part.factor); });
    } else {
        const auto *values = static_cast<const float *>(m.values);
        fill_panels<float>(p, part, [&](size_t at, int) { return values[at] * part.factor; });
    }
    return p;
}

bool same_input(const wellread_matrix &a, const wellread_matrix &b) {
    if (a.dtype != b.dtype || !a.input_scales != !b.input_scales) return false;
    return !a.input_scales || std::equal(a.input_scales, a.input_scales + a.columns, b.input_scales);
}

// Biases of scores, which are exponents of two, with room behind each head for keys beyond the last.
Relative pack_relative(Arena &arena, const wellread_matrix &given) {
    const int stride = given.columns + SPARE_KEYS;
    float *values = arena.take<float>(static_cast<size_t>(given.rows) * static_cast<size_t>(stride));
    const float *from = static_cast<const float *>(given.values);
    for (int head = 0; head < given.rows; head++)
        for (int i = 0; i < given.columns; i++)
            values[static_cast<size_t>(head) * static_cast<size_t>(stride) + static_cast<size_t>(i)] = *from++ * LOG2_E;
    return {values, stride, given.columns / 2};
}

Layer pack_layer(const wellread_encoder &e, const wellread_layer &given, const Kernels &kernels, Kind kind, Model &m) {
    Layer layer;
    const auto whole = [&](const wellread_matrix &matrix, float factor = 1.0f) {
        return pack(m.arena, kernels, kind, {matrix, 0, matrix.rows, 0, matrix.columns, factor, true});
    };
    // so that a score is an exponent of two
    layer.query = whole(given.query, LOG2_E / std::sqrt(static_cast<float>(e.width / e.heads)));
    layer.key = whole(given.key);
    layer.value = whole(given.value);
    layer.attention_output = whole(given.attention_output);
    layer.shares_input[0] = false;
    layer.shares_input[1] = same_input(given.query, given.key);
    layer.shares_input[2] = same_input(given.key, given.value);
    const int chunks = (e.inner + LONGEST_CHUNK - 1) / LONGEST_CHUNK;
    const int chunk = ((e.inner + chunks - 1) / chunks + 31) / 32 * 32;
    for (int from = 0; from < e.inner; from += chunk) {
        const int count = std::min(chunk, e.inner - from);
        layer.intermediate.push_back(
            pack(m.arena, kernels, kind, {given.intermediate, from, count, 0, e.width, 1, true}));
        layer.output.push_back(pack(m.arena, kernels, kind, {given.output, 0, e.width, from, count, 1, from == 0}));
    }
    layer.attention_gain = keep(m.arena, given.attention_norm.gain, e.width);
    layer.attention_shift = keep(m.arena, given.attention_norm.shift, e.width);
    layer.output_gain = keep(m.arena, given.output_norm.gain, e.width);
    layer.output_shift = keep(m.arena, given.output_norm.shift, e.width);
    return layer;
}

bool fits(const wellread_encoder &e, const wellread_layer &l) {
    return is_matrix(l.query, e.width, e.width) && is_matrix(l.key, e.width, e.width) &&
           is_matrix(l.value, e.width, e.width) && is_matrix(l.attention_output, e.width, e.width) &&
           is_matrix(l.intermediate, e.inner, e.width) && is_matrix(l.output, e.width, e.inner) &&
           l.attention_norm.gain && l.attention_norm.shift && l.output_norm.gain && l.output_norm.shift;
}

bool fits(const wellread_encoder &e) {
    const int head_width = e.heads > 0 && e.width % e.heads == 0 ? e.width / e.heads : 0, w = e.words.columns;
    if (e.layers < 1 || e.width < 32 || e.width % 32 || e.inner < 32 || e.inner % 32) return false;
    if ((head_width != 32 && head_width != 64) || w < 16 || w % 16 || !(e.eps > 0)) return false;
    if (e.activation < WELLREAD_GELU || e.activation > WELLREAD_RELU) return false;
    if (!is_table(e.words, w) || !is_table(e.positions, w) || (e.types.rows && !is_table(e.types, w))) return false;
    if (!e.embedding_norm.gain || !e.embedding_norm.shift) return false;
    if (e.project.rows ? !is_matrix(e.project, e.width, w) : w != e.width) return false;
    if (e.relative.rows && (!is_matrix(e.relative, e.heads, e.relative.columns) || e.relative.columns % 2 == 0 ||
                            e.relative.dtype != WELLREAD_F32))
        return false;
    return std::all_of(e.layer, e.layer + e.layers, [&](const wellread_layer &layer) { return fits(e, layer); });
}

}  // namespace

Arena::~Arena() {
    for (const Piece &piece : pieces_) {
        ASAN_UNPOISON_MEMORY_REGION(piece.start, piece.bytes);
        piece.bytes < HUGE_PAGE ? std::free(piece.start) : void(munmap(piece.start, piece.bytes));
    }
}

void *Arena::take_bytes(size_t wanted) {
    const size_t bytes = (wanted + 127) / 64 * 64;  // 64 or more between two arrays
    if (bytes > left_) {
        pieces_.reserve(pieces_.size() + 1);
        const bool large = bytes > HUGE_PAGE - SMALL_PIECE;
        const size_t unit = large ? HUGE_PAGE : SMALL_PIECE, size = (bytes + unit - 1) / unit * unit;
        void *start = large ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                            : std::aligned_alloc(64, size);
        if (!start || start == MAP_FAILED) throw std::bad_alloc();
        if (!large) std::memset(start, 0, size);
#ifdef MADV_HUGEPAGE
        if (large) madvise(start, size, MADV_HUGEPAGE);
#endif
        ASAN_POISON_MEMORY_REGION(start, size);
        pieces_.push_back({start, size});
        next_ = static_cast<char *>(start);
        left_ = size;
    }
    void *at = next_;
    ASAN_UNPOISON_MEMORY_REGION(at, wanted);
    next_ += bytes;
    left_ -= bytes;
    return at;
}

int32_t load(const wellread_matrix &matrix, const Kernels &kernels, Kind kind, Linear &linear) {
    if (!is_matrix(matrix, matrix.rows, matrix.columns)) return WELLREAD_BAD_SHAPE;
    linear.kernels = &kernels;
    linear.packed = pack(linear.arena, kernels, kind, {matrix, 0, matrix.rows, 0, matrix.columns, 1.0f, true});
    return WELLREAD_OK;
}

int32_t load(const wellread_encoder &e, const Kernels &kernels, Kind kind, Model &m) {
    if (!fits(e)) return WELLREAD_BAD_SHAPE;
    m.kernels = &kernels;
    m.rough = kind == Kind::BF16;
    m.layers = e.layers;
    m.width = e.width;
    m.heads = e.heads;
    m.inner = e.inner;
    m.embedding_width = e.words.columns;
    m.activation = e.activation;
    m.eps = e.eps;
    m.words = e.words;
    m.positions = e.positions;
    m.types = e.types;
    m.embedding_gain = keep(m.arena, e.embedding_norm.gain, m.embedding_width);
    m.embedding_shift = keep(m.arena, e.embedding_norm.shift, m.embedding_width);
    if (e.project.rows) {
        m.project = pack(m.arena, kernels, kind, {e.project, 0, e.width, 0, m.embedding_width, 1.0f, true});
    }
    if (e.relative.rows) m.relative = pack_relative(m.arena, e.relative);
    m.layer.reserve(static_cast<size_t>(e.layers));
    for (int i = 0; i < e.layers; i++) {
        // layers that share their weights share what is packed of them
        const bool shared = i && !std::memcmp(&e.layer[i], &e.layer[0], sizeof e.layer[0]);
        m.layer.push_back(shared ? m.layer[0] : pack_layer(e, e.layer[i], kernels, kind, m));
    }
    return WELLREAD_OK;
}

}  // namespace wellread
