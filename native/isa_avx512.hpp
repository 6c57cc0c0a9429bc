// The primitives on AVX-512 (F, BW, DQ, VL): a V is one register, and there are 32 of them.
//
// Sums fold and products round as on AVX2, so that both compute the same bits.
#ifndef WELLREAD_ISA_AVX512_HPP
#define WELLREAD_ISA_AVX512_HPP

#ifdef WELLREAD_EMULATED
#include "emulated.hpp"
#else
#if defined(__GNUC__) && !defined(__clang__)  // GCC's own header makes what is left undefined on purpose: PR 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

namespace {

struct Avx512 {
    static constexpr int ROWS = 12;  // 24 sums, 2 of the panels and 1 of the row fill 27 of 32 registers
    static constexpr int PANELS = 2;
    static constexpr int INT8_ROWS = 12;
    static constexpr int INT8_PANELS = 2;
    static constexpr bool HAS_BF16 = false;

    using V = __m512;
    using I = __m512i;

    static V set(float a) { return _mm512_set1_ps(a); }
    static V load(const float *p) { return _mm512_loadu_ps(p); }
    static void store(float *p, V a) { _mm512_storeu_ps(p, a); }
    static V add(V a, V b) { return _mm512_add_ps(a, b); }
    static V sub(V a, V b) { return _mm512_sub_ps(a, b); }
    static V mul(V a, V b) { return _mm512_mul_ps(a, b); }
    static V div(V a, V b) { return _mm512_div_ps(a, b); }
    static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
    static V max(V a, V b) { return _mm512_max_ps(a, b); }
    static V min(V a, V b) { return _mm512_min_ps(a, b); }
    static V round(V a) { return _mm512_roundscale_ps(a, 8); }  // to the nearest, without the flag for inexact
    static V power_of_two(V n) {
        const I exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
        return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
    }
    static V first(V a, int n, float rest) {
        return _mm512_mask_blend_ps(static_cast<__mmask16>((1u << n) - 1), _mm512_set1_ps(rest), a);
    }
    static float sum(V a) {
        a = add(a, _mm512_shuffle_f32x4(a, a, 0x4e));  // the halves
        a = add(a, _mm512_shuffle_f32x4(a, a, 0xb1));  // the quarters
        a = add(a, _mm512_permute_ps(a, 0x4e));
        return _mm512_cvtss_f32(add(a, _mm512_permute_ps(a, 0xb1)));
    }
    static float largest(V a) {
        a = max(a, _mm512_shuffle_f32x4(a, a, 0x4e));
        a = max(a, _mm512_shuffle_f32x4(a, a, 0xb1));
        a = max(a, _mm512_permute_ps(a, 0x4e));
        return _mm512_cvtss_f32(max(a, _mm512_permute_ps(a, 0xb1)));
    }
    static V load_half(const uint16_t *p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
    }
    static V load_int8(const int8_t *p) {
        return to_float(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
    }
    static void store_bytes(uint8_t *p, V a) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
    }

    static I zero() { return _mm512_setzero_si512(); }
    static I load_int(const int32_t *p) { return _mm512_loadu_si512(p); }
    static V to_float(I a) { return _mm512_cvtepi32_ps(a); }
    static I minus_times(I a, int32_t z, I b) {
        return _mm512_sub_epi32(a, _mm512_mullo_epi32(_mm512_set1_epi32(z), b));
    }
    using Bytes = __m512i;
    static Bytes broadcast(const uint8_t *p) {
        int32_t four;
        std::memcpy(&four, p, 4);
        return _mm512_set1_epi32(four);
    }
    using Weights = I;
    static Weights load_weights(const int8_t *p) { return _mm512_loadu_si512(p); }
    static I dot(I c, Bytes a, Weights b) {  // as on AVX2, where no pair of weights saturates 16 bits
        const I products = _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1));
#ifdef WELLREAD_EMULATED
        return _mm512_add_epi32(c, products);
#else
        asm("vpaddd %1, %0, %0" : "+v"(c) : "v"(products));  // in place: GCC 12 takes another register, and spills
        return c;
#endif
    }
};

}  // namespace

#endif
