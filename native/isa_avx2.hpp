// The primitives on AVX2 with FMA and F16C: a V is two registers.
#ifndef WELLREAD_ISA_AVX2_HPP
#define WELLREAD_ISA_AVX2_HPP

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

struct Avx2 {
    static constexpr int ROWS = 6;  // 12 sums, 2 of the panel and 1 of the row fill 15 of 16 registers
    static constexpr int PANELS = 1;
    static constexpr int INT8_ROWS = 4;
    static constexpr int INT8_PANELS = 1;
    static constexpr bool HAS_BF16 = false;

    struct V {
        __m256 low, high;
    };
    struct I {
        __m256i low, high;
    };

    static V set(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
    static V load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    static void store(float *p, V a) {
        _mm256_storeu_ps(p, a.low);
        _mm256_storeu_ps(p + 8, a.high);
    }
    static V add(V a, V b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
    static V sub(V a, V b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
    static V mul(V a, V b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
    static V div(V a, V b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
    static V fma(V a, V b, V c) {
        return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
    }
    static V max(V a, V b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
    static V min(V a, V b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
    static V round(V a) {
        constexpr int NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        return {_mm256_round_ps(a.low, NEAREST), _mm256_round_ps(a.high, NEAREST)};
    }
    static V power_of_two(V n) { return {power_of_two(n.low), power_of_two(n.high)}; }
    static V first(V a, int n, float rest) {
        const V lanes = {_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_ps(8, 9, 10, 11, 12, 13, 14, 15)};
        const __m256 limit = _mm256_set1_ps(float(n)), other = _mm256_set1_ps(rest);
        return {_mm256_blendv_ps(other, a.low, _mm256_cmp_ps(lanes.low, limit, _CMP_LT_OQ)),
                _mm256_blendv_ps(other, a.high, _mm256_cmp_ps(lanes.high, limit, _CMP_LT_OQ))};
    }
    static float sum(V a) {
        const __m256 eight = _mm256_add_ps(a.low, a.high);
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        four = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
    }
    static float largest(V a) {
        const __m256 eight = _mm256_max_ps(a.low, a.high);
        __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        four = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    }
    static V load_half(const uint16_t *p) {
        const __m128i *from = reinterpret_cast<const __m128i *>(p);
        return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
    }
    static V load_int8(const int8_t *p) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
        return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
    }
    static void store_bytes(uint8_t *p, V a) {
        const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high));
        const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);  // packing works within halves
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(p), bytes);
    }

    static I zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    static I load_int(const int32_t *p) {
        const __m256i *from = reinterpret_cast<const __m256i *>(p);
        return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
    }
    static V to_float(I a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
    static I minus_times(I a, int32_t z, I b) {
        const __m256i times = _mm256_set1_epi32(z);
        return {_mm256_sub_epi32(a.low, _mm256_mullo_epi32(times, b.low)),
                _mm256_sub_epi32(a.high, _mm256_mullo_epi32(times, b.high))};
    }
    using Bytes = __m256i;
    static Bytes broadcast(const uint8_t *p) {
        int32_t four;
        std::memcpy(&four, p, 4);
        return _mm256_set1_epi32(four);
    }
    using Weights = I;
    static Weights load_weights(const int8_t *p) { return load_int(reinterpret_cast<const int32_t *>(p)); }
    static I dot(I c, Bytes a, Weights b) {
        // vpmaddubsw adds pairs in 16 bits: 255 times 128 is the most that fits, hence the rule for neighbours
        const __m256i ones = _mm256_set1_epi16(1);
        c = {_mm256_add_epi32(c.low, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b.low), ones)),
             _mm256_add_epi32(c.high, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b.high), ones))};
        asm volatile("" : "+x"(c.low), "+x"(c.high));  // row after row: else GCC loads all rows first, and spills
        return c;
    }

  private:
    static __m256 power_of_two(__m256 n) {
        const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    }
};

}  // namespace

#endif
