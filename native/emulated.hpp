// The instructions of AVX-512, its VNNI and BF16 that the kernels use, in plain C++: so that tests run those kernels on
// CPUs that lack them. No shipped library holds any of this.
//
// The names are Intel's, so that a kernel reads the same; <immintrin.h> has the same names, so only one of the two is
// included. GCC and clang split vectors of 64 bytes into what the CPU has.
#ifndef WELLREAD_EMULATED_HPP
#define WELLREAD_EMULATED_HPP

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

template <class T, int BYTES> using Lanes [[gnu::vector_size(BYTES)]] = T;

using __m512 = Lanes<float, 64>;
using __m512i = Lanes<int32_t, 64>;  // what it holds is in the names of the instructions
using __m256i = Lanes<int32_t, 32>;
using __m128i = Lanes<int32_t, 16>;
using __mmask16 = uint16_t;

// The same bits as another type of the same size.
template <class To, class From> inline To bits_of(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
template <class Vector> inline Vector load_vector(const void *p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class F> inline __m512 each_float(F f) {
    __m512 v;
    for (int i = 0; i < 16; i++) v[i] = f(i);
    return v;
}
template <class F> inline __m512i each_int(F f) {
    __m512i v;
    for (int i = 0; i < 16; i++) v[i] = f(i);
    return v;
}

inline __m512 _mm512_set1_ps(float a) { return a - __m512{}; }
inline __m512 _mm512_loadu_ps(const void *p) { return load_vector<__m512>(p); }
inline void _mm512_storeu_ps(void *p, __m512 a) { std::memcpy(p, &a, sizeof a); }
inline __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
inline __m512 _mm512_sub_ps(__m512 a, __m512 b) { return a - b; }
inline __m512 _mm512_mul_ps(__m512 a, __m512 b) { return a * b; }
inline __m512 _mm512_div_ps(__m512 a, __m512 b) { return a / b; }
inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {  // rounded once, as there
    return each_float([&](int i) { return std::fma(a[i], b[i], c[i]); });
}
inline __m512 _mm512_max_ps(__m512 a, __m512 b) { return a > b ? a : b; }  // b where one is NaN
inline __m512 _mm512_min_ps(__m512 a, __m512 b) { return a < b ? a : b; }
inline __m512 _mm512_roundscale_ps(__m512 a, int) {
    return each_float([&](int i) { return std::nearbyint(a[i]); });
}
inline __m512 _mm512_mask_blend_ps(__mmask16 mask, __m512 a, __m512 b) {
    return each_float([&](int i) { return mask >> i & 1 ? b[i] : a[i]; });
}
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int order) {
    return each_float([&](int i) { return (i < 8 ? a : b)[(order >> i / 4 * 2 & 3) * 4 + i % 4]; });
}
inline __m512 _mm512_permute_ps(__m512 a, int order) {
    return each_float([&](int i) { return a[i / 4 * 4 + (order >> i % 4 * 2 & 3)]; });
}
inline float _mm512_cvtss_f32(__m512 a) { return a[0]; }
inline __m512 _mm512_castsi512_ps(__m512i a) { return bits_of<__m512>(a); }
inline __m512i _mm512_castps_si512(__m512 a) { return bits_of<__m512i>(a); }
inline __m512 _mm512_cvtepi32_ps(__m512i a) { return __builtin_convertvector(a, __m512); }
inline __m512i _mm512_cvtps_epi32(__m512 a) {  // what does not fit becomes INT32_MIN
    return each_int([&](int i) {
        const float whole = std::nearbyint(a[i]);
        return whole >= -0x1p31f && whole < 0x1p31f ? static_cast<int32_t>(whole) : INT32_MIN;
    });
}
inline __m512 _mm512_cvtph_ps(__m256i a) {  // IEEE 754 binary16: exponents of 5 bits, fractions of 10
    const auto halves = bits_of<Lanes<uint16_t, 32>>(a);
    return each_float([&](int i) {
        const int exponent = halves[i] >> 10 & 31, fraction = halves[i] & 1023;
        float size = exponent ? std::ldexp(float(1024 + fraction), exponent - 25) : std::ldexp(float(fraction), -24);
        if (exponent == 31) size = fraction ? NAN : INFINITY;
        return halves[i] >> 15 ? -size : size;
    });
}

inline __m256i _mm256_loadu_si256(const __m256i *p) { return load_vector<__m256i>(p); }
inline __m128i _mm_loadu_si128(const __m128i *p) { return load_vector<__m128i>(p); }
inline void _mm_storeu_si128(__m128i *p, __m128i a) { std::memcpy(p, &a, sizeof a); }
inline __m512i _mm512_setzero_si512() { return __m512i{}; }
inline __m512i _mm512_loadu_si512(const void *p) { return load_vector<__m512i>(p); }
inline void _mm512_storeu_si512(void *p, __m512i a) { std::memcpy(p, &a, sizeof a); }
inline __m512i _mm512_set1_epi32(int32_t a) { return a - __m512i{}; }
inline __m512i _mm512_set1_epi16(int16_t a) { return bits_of<__m512i>(a - Lanes<int16_t, 64>{}); }
inline __m512i _mm512_cvtepi8_epi32(__m128i a) {
    return __builtin_convertvector(bits_of<Lanes<int8_t, 16>>(a), __m512i);
}
inline __m128i _mm512_cvtepi32_epi8(__m512i a) {
    return bits_of<__m128i>(__builtin_convertvector(a, Lanes<int8_t, 16>));
}
using Wrapping = Lanes<uint32_t, 64>;  // integers of instructions wrap, those of C++ must not
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) { return __m512i(Wrapping(a) + Wrapping(b)); }
inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) { return __m512i(Wrapping(a) - Wrapping(b)); }
inline __m512i _mm512_mullo_epi32(__m512i a, __m512i b) { return __m512i(Wrapping(a) * Wrapping(b)); }
inline __m512i _mm512_slli_epi32(__m512i a, unsigned n) { return __m512i(Wrapping(a) << int(n)); }

// pairs of an unsigned and a signed byte, added in 16 bits that saturate
inline __m512i _mm512_maddubs_epi16(__m512i a, __m512i b) {
    const auto x = bits_of<Lanes<uint8_t, 64>>(a);
    const auto y = bits_of<Lanes<int8_t, 64>>(b);
    Lanes<int16_t, 64> sums;
    for (int i = 0; i < 32; i++) {
        const int32_t sum = x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
        sums[i] = static_cast<int16_t>(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
    }
    return bits_of<__m512i>(sums);
}
inline __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
    const auto x = bits_of<Lanes<int16_t, 64>>(a), y = bits_of<Lanes<int16_t, 64>>(b);
    return each_int([&](int i) { return x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1]; });
}
inline __m512i _mm512_dpbusd_epi32(__m512i c, __m512i a, __m512i b) {
    const auto x = bits_of<Lanes<uint8_t, 64>>(a);
    const auto y = bits_of<Lanes<int8_t, 64>>(b);
    const auto dot = [&](int i, int j) { return x[4 * i + j] * y[4 * i + j]; };
    return _mm512_add_epi32(c, each_int([&](int i) { return dot(i, 0) + dot(i, 1) + dot(i, 2) + dot(i, 3); }));
}

// to bfloat16, to the nearest, halves to even; numbers too small for a normal float become 0; b's come first
using __m512bh = __m512i;
inline __m512bh _mm512_cvtne2ps_pbh(__m512 a, __m512 b) {
    Lanes<uint16_t, 64> halves;
    for (int i = 0; i < 32; i++) {
        const float x = i < 16 ? b[i] : a[i - 16];
        const uint32_t word = bits_of<uint32_t>(std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x);
        const uint32_t rounded = x != x ? word | 0x400000 : word + 0x7fff + (word >> 16 & 1);
        halves[i] = static_cast<uint16_t>(rounded >> 16);
    }
    return bits_of<__m512i>(halves);
}
inline __m512i _mm512_permutexvar_epi16(__m512i order, __m512i a) {
    const auto from = bits_of<Lanes<uint16_t, 64>>(a), numbers = bits_of<Lanes<uint16_t, 64>>(order);
    Lanes<uint16_t, 64> to;
    for (int i = 0; i < 32; i++) to[i] = from[numbers[i] & 31];
    return bits_of<__m512i>(to);
}
inline __m512i _mm512_unpacklo_epi32(__m512i a, __m512i b) {
    return each_int([&](int i) { return (i % 2 ? b : a)[i / 4 * 4 + i % 4 / 2]; });
}
inline __m512i _mm512_unpackhi_epi32(__m512i a, __m512i b) {
    return each_int([&](int i) { return (i % 2 ? b : a)[i / 4 * 4 + 2 + i % 4 / 2]; });
}
inline __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) {
    return each_int([&](int i) { return (i % 4 < 2 ? a : b)[i / 4 * 4 + i % 2]; });
}
inline __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) {
    return each_int([&](int i) { return (i % 4 < 2 ? a : b)[i / 4 * 4 + 2 + i % 2]; });
}
inline __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int order) {
    return each_int([&](int i) { return (i < 8 ? a : b)[(order >> i / 4 * 2 & 3) * 4 + i % 4]; });
}

}  // namespace

#endif
