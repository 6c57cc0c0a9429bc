// Blocks of texts through all layers of a model; blocks are divided among threads.
#include "encoder.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

namespace wellread {

// Buffers for blocks of at most `rows` tokens, of which none of a text over `longest`.
struct Workspace {
    int rows, longest;
    Arena arena;
    float *hidden, *sum, *query, *key, *value, *mixed, *inner, *scratch, *scales;
    char *prepared;
    int32_t *zeros;

    Workspace(const Model &m, int most_rows, int longest_text) : rows(most_rows), longest(longest_text) {
        const size_t all = static_cast<size_t>(rows) + SPARE_ROWS, width = static_cast<size_t>(m.width);
        const size_t chunk = static_cast<size_t>(m.layer[0].output[0].columns);
        const size_t embedding = static_cast<size_t>(m.embedding_width), widest = std::max({width, chunk, embedding});
        for (float **buffer : {&hidden, &sum, &query, &key, &value, &mixed})
            *buffer = arena.take<float>(all * std::max(width, embedding));
        inner = arena.take<float>(all * chunk);
        prepared = arena.take<char>(all * (widest * 4 + 64));
        scales = arena.take<float>(all);
        zeros = arena.take<int32_t>(all);
        scratch = arena.take<float>(m.kernels->attention_scratch(longest, m.width / m.heads));
    }
};

Workspaces::~Workspaces() {
    for (auto &slot : slots_) delete slot.load();
}

Workspace *Workspaces::take(const Model &model, int rows, int longest) {
    for (auto &slot : slots_) {
        std::unique_ptr<Workspace> space(slot.exchange(nullptr));
        if (space && space->rows >= rows && space->longest >= longest) return space.release();
    }
    return new Workspace(model, rows, longest);
}

void Workspaces::give_back(Workspace *space) {
    for (auto &slot : slots_) {
        Workspace *none = nullptr;
        if (slot.compare_exchange_strong(none, space)) return;
    }
    delete space;
}

namespace {

// Tokens of a block, but for one longer text by itself: enough that its work outweighs reading the weights once, few
// enough for the cache. Fewer where threads would be idle.
constexpr int64_t MOST_TOKENS = 256, FEWEST_TOKENS = 32;

struct Text {
    int64_t number;  // in the batch
    int at, length;  // rows of the block
};
using Block = std::vector<Text>;

// Packs texts from the longest to the shortest; each block takes the longest that still fits.
std::vector<Block> blocks_of(const wellread_batch &batch, int threads) {
    const int64_t tokens = batch.texts ? batch.offsets[batch.texts] : 0, lanes = std::max(threads, 1);
    const int64_t rounds = std::max<int64_t>(1, (tokens + lanes * MOST_TOKENS - 1) / (lanes * MOST_TOKENS));
    const int most = static_cast<int>(std::max(FEWEST_TOKENS, (tokens + lanes * rounds - 1) / (lanes * rounds)));
    std::vector<std::vector<int64_t>> by_length;
    for (int64_t i = 0; i < batch.texts; i++) {
        const size_t length = static_cast<size_t>(batch.offsets[i + 1] - batch.offsets[i]);
        if (length >= by_length.size()) by_length.resize(length + 1);
        by_length[length].push_back(i);
    }
    std::vector<Block> blocks;
    for (size_t longest = by_length.size(); longest-- > 1;) {
        while (!by_length[longest].empty()) {
            Block block;
            int at = 0;
            for (size_t length = longest; length > 0;
                 length = std::min(length - 1, static_cast<size_t>(std::max(0, most - at)))) {
                auto &texts = by_length[length];
                while (!texts.empty() && (block.empty() || at + static_cast<int>(length) <= most)) {
                    block.push_back({texts.back(), at, static_cast<int>(length)});
                    texts.pop_back();
                    at += static_cast<int>(length);
                }
            }
            blocks.push_back(std::move(block));
        }
    }
    return blocks;
}

class Pass {
  public:
    Pass(const Model &model, const wellread_batch &batch, const wellread_results &results, Workspace &space)
        : m_(model), k_(*model.kernels), batch_(batch), results_(results), w_(space) {}

    void run(const Block &block) {
        const int rows = block.back().at + block.back().length;
        embed(block, rows);
        copy_out(block, w_.hidden, results_.embedding);
        const bool all = results_.sums || (results_.hidden && results_.hidden[m_.layers - 1]);
        for (int i = 0; i < m_.layers; i++) {
            const bool alone = i == m_.layers - 1 && !all;
            run_layer(m_.layer[static_cast<size_t>(i)], block, rows, alone);
            if (results_.hidden && !alone) copy_out(block, w_.hidden, results_.hidden[i]);
            if (alone) return copy_first(block, true);
        }
        copy_first(block, false);
        add_up(block);
    }

  private:
    float *row(float *values, int r) const { return values + static_cast<size_t>(r) * static_cast<size_t>(m_.width); }

    void embed(const Block &block, int rows) {
        const int width = m_.embedding_width;
        float *x = m_.project.rows ? w_.sum : w_.hidden;
        for (const Text &text : block) {
            for (int i = 0; i < text.length; i++) {
                const int64_t token = batch_.offsets[text.number] + i;
                float *to = x + static_cast<size_t>(text.at + i) * static_cast<size_t>(width);
                k_.table_row(m_.words, batch_.ids[token], to, false);
                if (m_.types.rows) k_.table_row(m_.types, batch_.types ? batch_.types[token] : 0, to, true);
                k_.table_row(m_.positions, batch_.positions ? batch_.positions[token] : i, to, true);
            }
        }
        k_.layer_norm(x, width, rows, width, m_.embedding_gain, m_.embedding_shift, m_.eps);
        if (m_.project.rows) {
            const Rows input = prepare(m_.project, x, width, rows);
            k_.multiply(m_.project, input, rows, 0, m_.project.panels(), to_hidden(w_.hidden, Then::STORE));
        }
    }

    Target to_hidden(float *values, Then then) const { return {values, m_.width, then, WELLREAD_IDENTITY}; }

    // Floats are read where they are; other kinds are made of them.
    Rows prepare(const Packed &weights, const float *x, int stride, int rows) {
        if (weights.kind == Kind::F32 && weights.padded == weights.columns)
            return {reinterpret_cast<const char *>(x), stride * 4, nullptr, nullptr};
        k_.prepare(weights, x, stride, rows, w_.prepared, w_.scales, w_.zeros);
        return {w_.prepared, weights.row_bytes(), w_.scales, w_.zeros};
    }

    // The hidden states of `rows` tokens become those behind the layer; with `first_alone`, of position 0 of each text,
    // one row a text.
    void run_layer(const Layer &layer, const Block &block, int rows, bool first_alone) {
        Rows input = prepare(layer.query, w_.hidden, m_.width, rows);
        const Packed *maps[] = {&layer.query, &layer.key, &layer.value};
        float *results[] = {w_.query, w_.key, w_.value};
        for (int i = 0; i < 3; i++) {
            if (i && !layer.shares_input[i]) input = prepare(*maps[i], w_.hidden, m_.width, rows);
            k_.multiply(*maps[i], input, rows, 0, maps[i]->panels(), to_hidden(results[i], Then::STORE));
        }
        if (first_alone) rows = keep_first(block);
        attend(block, first_alone);
        input = prepare(layer.attention_output, w_.mixed, m_.width, rows);
        k_.multiply(layer.attention_output, input, rows, 0, layer.attention_output.panels(),
                    to_hidden(w_.hidden, Then::ADD));
        k_.layer_norm(w_.hidden, m_.width, rows, m_.width, layer.attention_gain, layer.attention_shift, m_.eps);
        feed_forward(layer, rows);
        k_.layer_norm(w_.hidden, m_.width, rows, m_.width, layer.output_gain, layer.output_shift, m_.eps);
    }

    int keep_first(const Block &block) {
        int n = 0;
        for (const Text &text : block) {
            std::copy_n(row(w_.hidden, text.at), m_.width, row(w_.hidden, n));
            std::copy_n(row(w_.query, text.at), m_.width, row(w_.query, n));
            n++;
        }
        return n;
    }

    void attend(const Block &block, bool first_alone) {
        const Heads heads = {w_.query, w_.key,     w_.value, w_.mixed,   m_.width,
                             m_.heads, w_.scratch, m_.rough, m_.relative};
        int n = 0;
        for (const Text &text : block) {
            const uint8_t *mask = batch_.mask ? batch_.mask + batch_.offsets[text.number] : nullptr;
            const Span all = {text.at, text.length, text.at, text.length, mask};
            const Span first = {n++, 1, text.at, text.length, mask};
            k_.attend(heads, first_alone ? first : all);
        }
    }

    void feed_forward(const Layer &layer, int rows) {
        // what goes in is read by every chunk, so the sum grows beside it
        std::copy_n(w_.hidden, static_cast<size_t>(rows) * static_cast<size_t>(m_.width), w_.sum);
        const bool in_place = layer.intermediate[0].kind == Kind::F32;
        Rows input = prepare(layer.intermediate[0], w_.hidden, m_.width, rows);
        if (!in_place) input = keep_prepared(layer.intermediate[0], rows);
        for (size_t i = 0; i < layer.intermediate.size(); i++) {
            const Packed &up = layer.intermediate[i], &down = layer.output[i];
            const Target inner = {w_.inner, up.rows, Then::STORE, m_.activation};
            k_.multiply(up, input, rows, 0, up.panels(), inner);
            const Rows chunk = prepare(down, w_.inner, up.rows, rows);
            k_.multiply(down, chunk, rows, 0, down.panels(), to_hidden(w_.sum, Then::ADD));
        }
        std::swap(w_.hidden, w_.sum);
    }

    // What the first map of the inner layer reads outlives what is prepared for the second: it moves to the queries'
    // place, which is free by then.
    Rows keep_prepared(const Packed &weights, int rows) {
        const size_t bytes = static_cast<size_t>(rows + SPARE_ROWS) * static_cast<size_t>(weights.row_bytes());
        std::memcpy(w_.query, w_.prepared, bytes);
        std::memcpy(w_.key, w_.scales, static_cast<size_t>(rows + SPARE_ROWS) * 4);
        std::memcpy(w_.value, w_.zeros, static_cast<size_t>(rows + SPARE_ROWS) * 4);
        return {reinterpret_cast<const char *>(w_.query), weights.row_bytes(), w_.key,
                reinterpret_cast<const int32_t *>(w_.value)};
    }

    void copy_out(const Block &block, const float *values, float *to) const {
        if (!to) return;
        const size_t width = static_cast<size_t>(m_.width);
        for (const Text &text : block)
            std::copy_n(values + static_cast<size_t>(text.at) * width, static_cast<size_t>(text.length) * width,
                        to + static_cast<size_t>(batch_.offsets[text.number]) * width);
    }

    void copy_first(const Block &block, bool first_alone) const {
        if (!results_.first) return;
        int n = 0;
        for (const Text &text : block) {
            std::copy_n(row(w_.hidden, first_alone ? n : text.at), m_.width,
                        results_.first + static_cast<size_t>(text.number) * static_cast<size_t>(m_.width));
            n++;
        }
    }

    void add_up(const Block &block) const {
        if (!results_.sums) return;
        for (const Text &text : block) {
            float *to = results_.sums + static_cast<size_t>(text.number) * static_cast<size_t>(m_.width);
            std::fill_n(to, m_.width, 0.0f);
            for (int i = 0; i < text.length; i++) {
                const float weight = batch_.weights ? batch_.weights[batch_.offsets[text.number] + i] : 1.0f;
                if (weight != 0.0f) k_.add_scaled(to, row(w_.hidden, text.at + i), weight, m_.width);
            }
        }
    }

    const Model &m_;
    const Kernels &k_;
    const wellread_batch &batch_;
    const wellread_results &results_;
    Workspace &w_;
};

bool within(const int32_t *numbers, int64_t count, int limit) {
    return !numbers || std::all_of(numbers, numbers + count, [&](int32_t n) { return n >= 0 && n < limit; });
}

int32_t check(const Model &m, const wellread_batch &batch) {
    if (batch.texts < 0 || (batch.texts && batch.offsets[0] != 0)) return WELLREAD_BAD_SHAPE;
    for (int64_t i = 0; i < batch.texts; i++) {
        const int64_t length = batch.offsets[i + 1] - batch.offsets[i];
        if (length < 1 || length > (int64_t(1) << 20)) return WELLREAD_BAD_SHAPE;
        if (!batch.positions && length > m.positions.rows) return WELLREAD_BAD_ID;
        if (m.relative.values && length > m.relative.middle + 1) return WELLREAD_BAD_ID;
    }
    const int64_t tokens = batch.texts ? batch.offsets[batch.texts] : 0;
    const bool good = within(batch.ids, tokens, m.words.rows) && within(batch.positions, tokens, m.positions.rows) &&
                      (!m.types.rows || within(batch.types, tokens, m.types.rows));
    return good ? WELLREAD_OK : WELLREAD_BAD_ID;
}

// What the kernels of a variant need of the thread that calls them, from here to the end of the scope.
class Session {
  public:
    explicit Session(const Kernels &kernels) : kernels_(kernels) {
        if (kernels_.begin) kernels_.begin();
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    ~Session() {
        if (kernels_.end) kernels_.end();
    }

  private:
    const Kernels &kernels_;
};

// Calls work() in this thread and in up to `threads` - 1 others; without memory for others this one does it all. Throws
// std::bad_alloc where a thread had none for its own work.
template <class F> void in_threads(int threads, size_t pieces, F work) {
    std::atomic<bool> failed{false};
    const auto guarded = [&] {
        try {
            work();
        } catch (const std::exception &) {
            failed = true;
        }
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < std::min(static_cast<size_t>(std::max(threads, 1)), pieces); i++) {
        try {
            others.emplace_back(guarded);
        } catch (const std::system_error &) {
            break;
        }
    }
    guarded();
    for (std::thread &thread : others) thread.join();
    if (failed) throw std::bad_alloc();
}

}  // namespace

int32_t encode(const Model &model, const wellread_batch &batch, const wellread_results &results, int threads) {
    if (const int32_t error = check(model, batch)) return error;
    const std::vector<Block> blocks = blocks_of(batch, threads);
    if (blocks.empty()) return WELLREAD_OK;
    int rows = 0, longest = 0;
    for (const Block &block : blocks) {
        rows = std::max(rows, block.back().at + block.back().length);
        longest = std::max(longest, block.front().length);
    }
    std::atomic<size_t> next{0};
    in_threads(threads, blocks.size(), [&] {
        const auto give_back = [&](Workspace *space) { model.workspaces.give_back(space); };
        std::unique_ptr<Workspace, decltype(give_back)> space(model.workspaces.take(model, rows, longest), give_back);
        const Session session(*model.kernels);
        Pass pass(model, batch, results, *space);
        for (size_t i; (i = next++) < blocks.size();) pass.run(blocks[i]);
    });
    return WELLREAD_OK;
}

int32_t apply(const Linear &linear, const float *x, int64_t n, float *y, int activation, int threads) {
    constexpr int64_t PIECE = 96;  // rows of a thread at a time
    constexpr int STRIP = 16;      // panels whose results are in work
    const Packed &w = linear.packed;
    const size_t pieces = static_cast<size_t>((n + PIECE - 1) / PIECE);
    std::atomic<size_t> next{0};
    in_threads(threads, pieces, [&] {
        Arena arena;
        const size_t all = static_cast<size_t>(std::min(PIECE, n) + SPARE_ROWS);
        char *prepared = arena.take<char>(all * static_cast<size_t>(w.row_bytes()));
        float *scales = arena.take<float>(all), *strip = arena.take<float>(all * STRIP * PANEL);
        int32_t *zeros = arena.take<int32_t>(all);
        const Session session(*linear.kernels);
        for (size_t i; (i = next++) < pieces;) {
            const int64_t from = static_cast<int64_t>(i) * PIECE;
            const int rows = static_cast<int>(std::min(PIECE, n - from));
            linear.kernels->prepare(w, x + from * w.columns, w.columns, rows, prepared, scales, zeros);
            const Rows input = {prepared, w.row_bytes(), scales, zeros};
            for (int p = 0; p < w.panels(); p += STRIP) {
                const int panels = std::min(STRIP, w.panels() - p), used = std::min(panels * PANEL, w.rows - p * PANEL);
                const Target target = {strip, STRIP * PANEL, Then::STORE, activation};
                linear.kernels->multiply(w, input, rows, p, panels, target);
                for (int r = 0; r < rows; r++)
                    std::copy_n(strip + static_cast<size_t>(r) * STRIP * PANEL, used,
                                y + (from + r) * w.rows + p * PANEL);
            }
        }
    });
    return WELLREAD_OK;
}

}  // namespace wellread
