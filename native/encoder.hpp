// A model with packed weights, and how texts run through it: blocks of tokens, one thread each through all layers.
#ifndef WELLREAD_ENCODER_HPP
#define WELLREAD_ENCODER_HPP

#include <array>
#include <atomic>
#include <vector>

#include "kernels.hpp"

namespace wellread {

// Memory for weights and activations, zeroed; whole at once, or nothing.
class Arena {
  public:
    Arena() = default;
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;
    ~Arena();
    // Throws std::bad_alloc.
    template <class T> T *take(size_t count) { return static_cast<T *>(take_bytes(count * sizeof(T))); }

  private:
    void *take_bytes(size_t bytes);
    struct Piece {
        void *start;
        size_t bytes;
    };
    std::vector<Piece> pieces_;
    char *next_ = nullptr;
    size_t left_ = 0;
};

// A linear map in the products of a variant.
struct Linear {
    const Kernels *kernels = nullptr;
    Arena arena;
    Packed packed;
};

struct Layer {
    Packed query, key, value, attention_output;
    std::vector<Packed> intermediate, output;  // the inner layer in chunks
    const float *attention_gain, *attention_shift, *output_gain, *output_shift;
    bool shares_input[3];  // whether query, key, value read what was prepared for the one before
};

// What a thread needs to run blocks of a model; see encoder.cpp.
struct Workspace;

// Workspaces between calls. A slot is taken and filled by one exchange, so no lock can be left behind by a fork.
class Workspaces {
  public:
    ~Workspaces();
    // Returns one for blocks of `rows` tokens, of texts of at most `longest`. Throws std::bad_alloc.
    Workspace *take(const struct Model &, int rows, int longest);
    void give_back(Workspace *);

  private:
    std::array<std::atomic<Workspace *>, 8> slots_{};
};

struct Model {
    const Kernels *kernels = nullptr;
    int layers = 0, width = 0, heads = 0, inner = 0, embedding_width = 0, activation = 0;
    float eps = 0;
    bool rough = false;                       // bfloat16 was asked for
    wellread_matrix words, positions, types;  // kept by address
    Relative relative;
    const float *embedding_gain = nullptr, *embedding_shift = nullptr;
    Packed project;
    std::vector<Layer> layer;
    Arena arena;
    mutable Workspaces workspaces;
};

// Both throw std::bad_alloc, and return what is wrong with the shapes.
int32_t load(const wellread_encoder &, const Kernels &, Kind, Model &);
int32_t load(const wellread_matrix &, const Kernels &, Kind, Linear &);

int32_t encode(const Model &, const wellread_batch &, const wellread_results &, int threads);
int32_t apply(const Linear &, const float *x, int64_t n, float *y, int activation, int threads);

}  // namespace wellread

#endif
