// Random models, texts and linear maps through every variant that this CPU runs, each held against the portable one.
// `fuzz SEED CASES` tries so many; test_fuzz.py builds it with the sanitizers of addresses and undefined
// behaviour. Every array has its exact size, so that a step beyond its end is seen.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "wellread.h"

namespace {

uint64_t current_seed;  // of the case under way: `fuzz SEED 1` runs it alone

void require(bool fine, const std::string &what) {
    if (fine) return;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(current_seed), what.c_str());
    std::exit(1);
}

class Random {
  public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(engine_); }
    bool chance(double p) { return std::bernoulli_distribution(p)(engine_); }
    float normal(float size) { return std::normal_distribution<float>(0.0f, size)(engine_); }
    std::vector<float> normals(size_t count, float size, float mean = 0.0f) {
        std::vector<float> values(count);
        for (float &value : values) value = mean + normal(size);
        return values;
    }
    template <class T> std::vector<T> integers(size_t count, int least, int most) {
        std::vector<T> values(count);
        for (T &value : values) value = static_cast<T>(between(least, most));
        return values;
    }

  private:
    std::mt19937_64 engine_;
};

// Values of a matrix with what belongs to them; `view` is how the kernel sees it.
struct Matrix {
    std::vector<float> floats, scales, input_scales, bias;
    std::vector<uint16_t> halves;
    std::vector<int8_t> bytes;
    wellread_matrix view = {};
};

Matrix matrix(Random &random, int rows, int columns, int dtype, float size) {
    Matrix m;
    const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(columns);
    m.view.rows = rows;
    m.view.columns = columns;
    m.view.dtype = dtype;
    if (dtype == WELLREAD_F32) m.floats = random.normals(count, size);
    if (dtype == WELLREAD_F16) {  // signs, exponents around 2^-4, zeros and numbers below the normal ones
        m.halves = random.integers<uint16_t>(count, 0, 1023);
        for (uint16_t &half : m.halves) half |= (random.between(0, 1) << 15) | (random.between(0, 13) << 10);
    }
    if (dtype == WELLREAD_INT8) {
        m.bytes = random.integers<int8_t>(count, -128, 127);
        for (size_t i = 1; i < count; i += 2) {  // neighbours together at most 128 in size
            const int rest = 128 - std::abs(m.bytes[i - 1]);
            m.bytes[i] = static_cast<int8_t>(random.between(-rest, std::min(rest, 127)));
        }
        m.scales = random.normals(static_cast<size_t>(rows), size / 500, size / 50);
        m.view.scales = m.scales.data();
    }
    m.view.values = dtype == WELLREAD_F32   ? static_cast<const void *>(m.floats.data())
                    : dtype == WELLREAD_F16 ? static_cast<const void *>(m.halves.data())
                                            : m.bytes.data();
    return m;
}

// The weights of a linear map.
Matrix linear(Random &random, int rows, int columns, int dtype) {
    Matrix m = matrix(random, rows, columns, dtype, random.chance(0.1) ? 1.0f : 1 / std::sqrt(float(columns)));
    if (random.chance(0.8)) m.bias = random.normals(static_cast<size_t>(rows), 0.1f);
    if (dtype == WELLREAD_INT8 && random.chance(0.5)) {
        m.input_scales = random.normals(static_cast<size_t>(columns), 0.2f, 1.0f);
        m.view.input_scales = m.input_scales.data();
    }
    m.view.bias = m.bias.empty() ? nullptr : m.bias.data();
    return m;
}

int any_dtype(Random &random, bool table) {
    const int dtype = random.between(0, 2);
    return dtype == 2 ? WELLREAD_INT8 : table ? dtype : WELLREAD_F32;
}

struct Encoder {
    std::vector<Matrix> matrices;
    std::vector<std::vector<float>> norms;
    std::vector<wellread_layer> layers;
    std::vector<float> relative;
    wellread_encoder view = {};
    bool has_int8 = false;

    const wellread_matrix &keep(Matrix m) {
        has_int8 |= m.view.dtype == WELLREAD_INT8;
        matrices.push_back(std::move(m));
        return matrices.back().view;
    }
    wellread_norm norm(Random &random, int width) {
        norms.push_back(random.normals(static_cast<size_t>(width), 0.2f, 1.0f));
        norms.push_back(random.normals(static_cast<size_t>(width), 0.2f));
        return {norms[norms.size() - 2].data(), norms.back().data()};
    }
};

Encoder encoder(Random &random) {
    Encoder e;
    wellread_encoder &v = e.view;
    v.layers = random.between(1, 3);
    const int head_width = 32 * random.between(1, 2);
    v.heads = random.between(1, 4);
    v.width = v.heads * head_width;
    v.inner = 32 * random.between(1, random.chance(0.2) ? 40 : 8);
    v.activation = random.between(WELLREAD_GELU, WELLREAD_RELU);
    v.eps = random.chance(0.5) ? 1e-12f : 1e-5f;
    const int embedding = random.chance(0.2) ? 16 * random.between(1, 10) : v.width;
    e.matrices.reserve(static_cast<size_t>(4 + 6 * v.layers));  // views point into it
    v.words = e.keep(matrix(random, random.between(2, 300), embedding, any_dtype(random, true), 1));
    v.positions = e.keep(
        matrix(random, random.chance(0.5) ? 512 : random.between(1, 512), embedding, any_dtype(random, true), 0.5f));
    if (random.chance(0.5)) {
        v.types = e.keep(matrix(random, random.between(1, 3), embedding, any_dtype(random, true), 0.5f));
    }
    v.embedding_norm = e.norm(random, embedding);
    const int dtype = any_dtype(random, false);
    if (embedding != v.width) v.project = e.keep(linear(random, v.width, embedding, dtype));
    for (int i = 0; i < v.layers; i++) {
        wellread_layer layer = {};
        const auto map = [&](int rows, int columns) {
            return e.keep(linear(random, rows, columns, random.chance(0.9) ? dtype : any_dtype(random, false)));
        };
        layer.query = map(v.width, v.width);
        layer.key = map(v.width, v.width);
        layer.value = map(v.width, v.width);
        layer.attention_output = map(v.width, v.width);
        layer.intermediate = map(v.inner, v.width);
        layer.output = map(v.width, v.inner);
        layer.attention_norm = e.norm(random, v.width);
        layer.output_norm = e.norm(random, v.width);
        e.layers.push_back(layer);
    }
    v.layer = e.layers.data();
    if (random.chance(0.4)) {  // one bias for each distance in texts of as many tokens as there are positions
        const int distances = 2 * v.positions.rows - 1;
        e.relative = random.normals(static_cast<size_t>(v.heads * distances), random.chance(0.1) ? 100.0f : 1.0f);
        v.relative.values = e.relative.data();
        v.relative.rows = v.heads;
        v.relative.columns = distances;
    }
    return e;
}

struct Batch {
    std::vector<int64_t> offsets{0};
    std::vector<int32_t> ids, positions, types;
    std::vector<uint8_t> mask;
    std::vector<float> weights;
    size_t tokens() const { return ids.size(); }
    int64_t texts() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

Batch batch(Random &random, const wellread_encoder &e) {
    Batch b;
    const int texts = random.chance(0.03) ? 0 : random.between(1, random.chance(0.5) ? 3 : 40);
    const int longest = random.chance(0.2) ? e.positions.rows : std::min(e.positions.rows, 40);
    const int most = random.chance(0.1) ? 1200 : 200;  // tokens, about
    for (int i = 0; i < texts && b.offsets.back() < most; i++) {
        const int length = random.chance(0.1) ? longest : random.between(1, longest);
        b.offsets.push_back(b.offsets.back() + length);
    }
    const size_t tokens = static_cast<size_t>(b.offsets.back());
    b.ids = random.integers<int32_t>(tokens, 0, e.words.rows - 1);
    if (random.chance(0.3)) b.positions = random.integers<int32_t>(tokens, 0, e.positions.rows - 1);
    if (e.types.rows && random.chance(0.5)) b.types = random.integers<int32_t>(tokens, 0, e.types.rows - 1);
    if (random.chance(0.6)) {
        b.mask = random.integers<uint8_t>(tokens, 0, 1);
        for (int64_t i = 0; i < b.texts(); i++) {
            const auto from = b.mask.begin() + b.offsets[i], to = b.mask.begin() + b.offsets[i + 1];
            if (random.chance(0.5)) std::fill(from, to, uint8_t(random.between(0, 1)));  // all are masked, or none
        }
    }
    if (random.chance(0.5)) b.weights = random.normals(tokens, 1.0f);
    return b;
}

wellread_batch view(const Batch &b) {
    const auto or_null = [](const auto &values) { return values.empty() ? nullptr : values.data(); };
    return {b.texts(),        b.offsets.data(), b.ids.data(),      or_null(b.positions),
            or_null(b.types), or_null(b.mask),  or_null(b.weights)};
}

// Text `number` by itself.
Batch alone(const Batch &b, int64_t number) {
    const auto part = [&](auto values) {
        if (values.empty()) return values;
        return decltype(values)(values.begin() + b.offsets[number], values.begin() + b.offsets[number + 1]);
    };
    Batch one;
    one.ids = part(b.ids);
    one.positions = part(b.positions);
    one.types = part(b.types);
    one.mask = part(b.mask);
    one.weights = part(b.weights);
    one.offsets.push_back(static_cast<int64_t>(one.ids.size()));
    return one;
}

struct Wanted {
    bool embedding, first, sums;
    std::vector<bool> hidden;
};

struct Results {
    std::vector<float> embedding, first, sums;
    std::vector<std::vector<float>> hidden;
};

Results run(const void *model, const wellread_encoder &e, const Batch &b, const Wanted &wanted, int threads) {
    constexpr float NOTHING = std::numeric_limits<float>::quiet_NaN();
    const size_t width = static_cast<size_t>(e.width);
    const size_t all = b.tokens() * width, each = static_cast<size_t>(b.texts()) * width;
    Results r;
    std::vector<float *> hidden;
    r.hidden.resize(wanted.hidden.size());
    for (size_t i = 0; i < wanted.hidden.size(); i++) {
        if (wanted.hidden[i]) r.hidden[i].assign(all, NOTHING);
        hidden.push_back(wanted.hidden[i] ? r.hidden[i].data() : nullptr);
    }
    if (wanted.embedding) r.embedding.assign(all, NOTHING);
    if (wanted.first) r.first.assign(each, NOTHING);
    if (wanted.sums) r.sums.assign(each, NOTHING);
    const wellread_results to = {wanted.embedding ? r.embedding.data() : nullptr, hidden.data(),
                                 wanted.first ? r.first.data() : nullptr, wanted.sums ? r.sums.data() : nullptr};
    const wellread_batch given = view(b);
    require(wellread_encode(model, &given, &to, threads) == WELLREAD_OK, "encode failed");
    return r;
}

// Hidden states are of the size of 1; sums add up as many as a text has tokens.
void compare(const std::vector<float> &a, const std::vector<float> &b, float bound, const std::string &what) {
    require(a.size() == b.size(), what + ": another size");
    double difference = 0, size = 0, largest = 0;
    for (size_t i = 0; i < a.size(); i++) {
        require(std::isfinite(a[i]), what + ": a number is missing");
        const double d = double(a[i]) - double(b[i]);
        difference += d * d;
        size += double(b[i]) * double(b[i]);
        largest = std::max(largest, std::abs(d));
    }
    const double relative = std::sqrt(difference / std::max(size, 1e-30));
    if (std::getenv("FUZZ_VERBOSE")) std::printf("%s: %.2g, largest %.2g\n", what.c_str(), relative, largest);
    require(relative <= bound, what + " differs by " + std::to_string(relative) + " of its size");
}

void compare(const Results &a, const Results &b, float bound, const std::string &what) {
    compare(a.embedding, b.embedding, bound, what + ", embedding");
    compare(a.first, b.first, bound, what + ", first");
    compare(a.sums, b.sums, bound, what + ", sums");
    for (size_t i = 0; i < a.hidden.size(); i++) compare(a.hidden[i], b.hidden[i], bound, what + ", hidden");
}

// The rows of text `number` must be the same to the bit.
void compare_alone(const Results &together, const Results &single, const Batch &b, int64_t number, size_t width,
                   const std::string &what) {
    const auto same = [&](const std::vector<float> &a, const std::vector<float> &one, int64_t from) {
        const bool equal = one.empty() || !std::memcmp(a.data() + size_t(from) * width, one.data(), one.size() * 4);
        require(equal, what + ": a text has other numbers in company");
    };
    same(together.embedding, single.embedding, b.offsets[number]);
    same(together.first, single.first, number);
    same(together.sums, single.sums, number);
    for (size_t i = 0; i < together.hidden.size(); i++) same(together.hidden[i], single.hidden[i], b.offsets[number]);
}

float bound_of(bool has_int8, int precision) {
    if (has_int8) return 0.05f;  // where a number lies between two steps, variants may go to either side
    return precision == WELLREAD_AS_BF16 ? 0.02f : 2e-5f;
}

std::string name_of(int variant, int precision) {
    return std::string(wellread_variant_name(variant)) + (precision == WELLREAD_AS_BF16 ? " in bf16" : "");
}

template <class F> void each_variant(F check) {
    for (int variant = 0; variant < wellread_variants(); variant++)
        for (int precision : {WELLREAD_AS_F32, WELLREAD_AS_BF16})
            if (wellread_variant_supported(variant) && wellread_variant_computes(variant, precision))
                check(variant, precision);
}

void try_encoder(Random &random) {
    const Encoder e = encoder(random);
    const Batch b = batch(random, e.view);
    Wanted wanted = {random.chance(0.3), random.chance(0.5), random.chance(0.5), {}};
    for (int i = 0; i < e.view.layers; i++) wanted.hidden.push_back(random.chance(0.3));
    const int64_t number = b.texts() ? random.between(0, static_cast<int>(b.texts()) - 1) : 0;
    Results reference;
    each_variant([&](int variant, int precision) {
        int32_t error = WELLREAD_OK;
        void *model = wellread_load(&e.view, variant, precision, &error);
        const std::string name = name_of(variant, precision);
        require(model != nullptr, name + ": load failed with " + std::to_string(error));
        const Results results = run(model, e.view, b, wanted, 1);
        if (variant == 0 && precision == WELLREAD_AS_F32) reference = results;
        compare(results, reference, bound_of(e.has_int8, precision), name);
        compare(run(model, e.view, b, wanted, random.between(2, 4)), results, 0, name + " in threads");
        Results once, again;  // two callers at the same time
        std::thread other([&] { again = run(model, e.view, b, wanted, 2); });
        once = run(model, e.view, b, wanted, 1);
        other.join();
        compare(once, results, 0, name + " beside another call");
        compare(again, results, 0, name + " beside another call");
        if (b.texts()) {
            const Results single = run(model, e.view, alone(b, number), wanted, 1);
            compare_alone(results, single, b, number, static_cast<size_t>(e.view.width), name);
        }
        wellread_free(model);
    });
}

void try_linear(Random &random) {
    const int dtype = any_dtype(random, false);
    const int columns = dtype == WELLREAD_INT8 ? 16 * random.between(1, 40) : random.between(1, 600);
    const Matrix m = linear(random, random.between(1, 100), columns, dtype);
    const int64_t n = random.between(0, 200);
    const int activation = random.between(WELLREAD_IDENTITY, WELLREAD_TANH);
    const std::vector<float> x = random.normals(static_cast<size_t>(n * columns), random.chance(0.1) ? 100.0f : 1.0f);
    std::vector<float> reference;
    each_variant([&](int variant, int precision) {
        int32_t error = WELLREAD_OK;
        void *map = wellread_linear_load(&m.view, variant, precision, &error);
        const std::string name = name_of(variant, precision) + ", a linear map";
        require(map != nullptr, name + ": load failed with " + std::to_string(error));
        std::vector<float> y(static_cast<size_t>(n * m.view.rows), std::numeric_limits<float>::quiet_NaN()), again = y;
        require(wellread_linear(map, x.data(), n, y.data(), activation, 1) == WELLREAD_OK, name + " failed");
        require(wellread_linear(map, x.data(), n, again.data(), activation, 3) == WELLREAD_OK, name + " failed");
        if (variant == 0 && precision == WELLREAD_AS_F32) reference = y;
        // of the same inputs every variant makes the same integers; beside bfloat16 a GELU is right to 2e-4
        const bool exact = dtype == WELLREAD_INT8 && precision == WELLREAD_AS_F32;
        compare(y, reference, exact ? 1e-5f : dtype == WELLREAD_INT8 ? 1e-3f : bound_of(false, precision), name);
        compare(again, y, 0, name + " in threads");
        wellread_linear_free(map);
    });
}

// What Python would never ask for is refused all the same.
void try_faults(Random &random) {
    const Encoder e = encoder(random);
    Batch b = batch(random, e.view);
    int32_t error = WELLREAD_OK;
    for (int variant : {-1, static_cast<int>(wellread_variants())}) {
        require(!wellread_load(&e.view, variant, WELLREAD_AS_F32, &error) && error == WELLREAD_BAD_VARIANT,
                "a variant that does not exist");
    }
    wellread_encoder odd = e.view;
    odd.width += 16;
    require(!wellread_load(&odd, 0, WELLREAD_AS_F32, &error) && error == WELLREAD_BAD_SHAPE, "a width of another size");
    odd = e.view;
    odd.relative.values = e.norms[0].data();
    odd.relative.rows = odd.heads;
    odd.relative.columns = 2;
    require(!wellread_load(&odd, 0, WELLREAD_AS_F32, &error) && error == WELLREAD_BAD_SHAPE,
            "relative positions without one in the middle");
    if (!b.texts()) return;
    void *model = wellread_load(&e.view, 0, WELLREAD_AS_F32, &error);
    const size_t at = static_cast<size_t>(random.between(0, static_cast<int>(b.tokens()) - 1));
    std::vector<float> first(static_cast<size_t>(b.texts() * e.view.width));
    const wellread_results to = {nullptr, nullptr, first.data(), nullptr};
    const auto refused = [&](const Batch &bad, int32_t expected, const std::string &what) {
        const wellread_batch given = view(bad);
        require(wellread_encode(model, &given, &to, 2) == expected, what);
    };
    for (int32_t id :
         {-1, e.view.words.rows, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()}) {
        Batch bad = b;
        bad.ids[at] = id;
        refused(bad, WELLREAD_BAD_ID, "an id outside the vocabulary");
    }
    Batch bad = b;
    bad.positions.assign(b.tokens(), 0);
    bad.positions[at] = e.view.positions.rows;
    refused(bad, WELLREAD_BAD_ID, "a position outside the table");
    if (e.view.relative.rows) {
        Batch longer;
        longer.ids.assign(static_cast<size_t>(e.view.positions.rows) + 1, 0);
        longer.positions.assign(longer.ids.size(), 0);
        longer.offsets.push_back(static_cast<int64_t>(longer.ids.size()));
        refused(longer, WELLREAD_BAD_ID, "a text longer than its relative positions");
    }
    bad = b;
    bad.offsets.insert(bad.offsets.begin(), 0);
    refused(bad, WELLREAD_BAD_SHAPE, "a text without a token");
    wellread_free(model);
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 3) return std::printf("usage: fuzz SEED CASES\n"), 2;
    current_seed = std::strtoull(arguments[1], nullptr, 10);
    for (int cases = std::atoi(arguments[2]); cases > 0; cases--, current_seed++) {
        Random random(current_seed);
        const int kind = random.between(0, 9);
        if (kind < 6) try_encoder(random);
        if (kind >= 6 && kind < 9) try_linear(random);
        if (kind == 9) try_faults(random);
    }
    each_variant([](int variant, int precision) { std::printf("%s\n", name_of(variant, precision).c_str()); });
    return 0;
}
