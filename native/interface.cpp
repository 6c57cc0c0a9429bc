// The C functions of wellread.h, and which variants this CPU and this system let run.
#include <memory>
#include <new>

#include "encoder.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

using wellread::Kernels;
using wellread::Kind;

bool always() { return true; }

#if defined(__x86_64__)
#ifdef WELLREAD_EMULATED
constexpr bool EMULATED = true;  // for tests: AVX2 and plain C++ stand for what the CPU lacks
#else
constexpr bool EMULATED = false;
#endif

enum Register { EAX, EBX, ECX, EDX };

// One of the answers of the instruction CPUID. __builtin_cpu_supports also knows what the system keeps of the wider
// registers when it switches threads, but not every compiler's knows every name.
bool cpuid(unsigned leaf, unsigned subleaf, Register from, int bit) {
    unsigned words[4] = {};
    return __get_cpuid_count(leaf, subleaf, &words[EAX], &words[EBX], &words[ECX], &words[EDX]) &&
           words[from] >> bit & 1;
}

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && cpuid(1, 0, ECX, 29); }

[[maybe_unused]] bool has_avx_vnni() { return has_avx2() && (EMULATED || cpuid(7, 1, EAX, 4)); }

[[maybe_unused]] bool has_avx512() {
    return has_avx2() && (EMULATED || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")));
}

[[maybe_unused]] bool has_avx512_vnni() { return has_avx512() && (EMULATED || __builtin_cpu_supports("avx512vnni")); }

// Asks Linux, once, to let this process have the tile registers: their state is large, so nobody has it unasked. Older
// systems, and some sandboxes, refuse.
bool may_use_tiles() {
#if defined(__linux__)
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const bool allowed = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
    return allowed;
#else
    return false;
#endif
}

[[maybe_unused]] bool has_amx() {
    return has_avx512_vnni() && (EMULATED || (cpuid(7, 1, EAX, 5) && cpuid(7, 0, EDX, 22) && cpuid(7, 0, EDX, 24) &&
                                              cpuid(7, 0, EDX, 25) && may_use_tiles()));
}
#endif

struct Variant {
    const Kernels *kernels;
    bool (*supported)();
};

// From the plainest to the best: of those that may run, the last is the fastest.
const Variant VARIANTS[] = {
    {&wellread::portable_kernels, always},
#ifdef WELLREAD_HAS_AVX2
    {&wellread::avx2_kernels, has_avx2},
#endif
#ifdef WELLREAD_HAS_AVX_VNNI
    {&wellread::avx_vnni_kernels, has_avx_vnni},
#endif
#ifdef WELLREAD_HAS_AVX512
    {&wellread::avx512_kernels, has_avx512},
#endif
#ifdef WELLREAD_HAS_AVX512_VNNI
    {&wellread::avx512_vnni_kernels, has_avx512_vnni},
#endif
#ifdef WELLREAD_HAS_AMX
    {&wellread::amx_kernels, has_amx},
#endif
};
constexpr int32_t COUNT = sizeof VARIANTS / sizeof VARIANTS[0];

bool known(int32_t variant) { return variant >= 0 && variant < COUNT; }

// Returns what `work` does, or that there is no memory for it: no exception may pass through C.
template <class F> int32_t with_memory(F work) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return WELLREAD_NO_MEMORY;
    }
}

// Makes a T of `given` by `wellread::load`; NULL and an error where that cannot be.
template <class T, class Given> void *make(const Given *given, int32_t variant, int32_t precision, int32_t *error) {
    const Kind kind = precision == WELLREAD_AS_BF16 ? Kind::BF16 : Kind::F32;
    *error = WELLREAD_BAD_VARIANT;
    if (!wellread_variant_supported(variant) || !wellread_variant_computes(variant, precision)) return nullptr;
    try {
        auto model = std::make_unique<T>();
        *error = load(*given, *VARIANTS[variant].kernels, kind, *model);
        return *error ? nullptr : model.release();
    } catch (const std::bad_alloc &) {
        *error = WELLREAD_NO_MEMORY;
        return nullptr;
    }
}

}  // namespace

extern "C" {

int32_t wellread_interface(void) { return 2; }

int32_t wellread_variants(void) { return COUNT; }

const char *wellread_variant_name(int32_t variant) { return known(variant) ? VARIANTS[variant].kernels->name : ""; }

int32_t wellread_variant_supported(int32_t variant) { return known(variant) && VARIANTS[variant].supported(); }

int32_t wellread_variant_computes(int32_t variant, int32_t precision) {
    const Kind kind = precision == WELLREAD_AS_BF16 ? Kind::BF16 : Kind::F32;
    return known(variant) && VARIANTS[variant].kernels->has[static_cast<int>(kind)];
}

void *wellread_load(const wellread_encoder *encoder, int32_t variant, int32_t precision, int32_t *error) {
    return make<wellread::Model>(encoder, variant, precision, error);
}

int32_t wellread_encode(const void *model, const wellread_batch *batch, const wellread_results *results,
                        int32_t threads) {
    return with_memory(
        [&] { return wellread::encode(*static_cast<const wellread::Model *>(model), *batch, *results, threads); });
}

void wellread_free(void *model) { delete static_cast<wellread::Model *>(model); }

void *wellread_linear_load(const wellread_matrix *matrix, int32_t variant, int32_t precision, int32_t *error) {
    return make<wellread::Linear>(matrix, variant, precision, error);
}

int32_t wellread_linear(const void *linear, const float *x, int64_t n, float *y, int32_t activation, int32_t threads) {
    return with_memory(
        [&] { return wellread::apply(*static_cast<const wellread::Linear *>(linear), x, n, y, activation, threads); });
}

void wellread_linear_free(void *linear) { delete static_cast<wellread::Linear *>(linear); }

}  // extern "C"
