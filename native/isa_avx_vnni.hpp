// The primitives on AVX2 with AVX-VNNI: those of AVX2, and one instruction for what there takes three.
#ifndef WELLREAD_ISA_AVX_VNNI_HPP
#define WELLREAD_ISA_AVX_VNNI_HPP

#include "isa_avx2.hpp"

namespace {

struct AvxVnni : Avx2 {
    static constexpr int INT8_ROWS = 6;  // no register for what is in between, so two rows more

    static I dot(I c, Bytes a, Weights b) { return {dot(c.low, a, b.low), dot(c.high, a, b.high)}; }

  private:
    // to each lane of c, four products of an unsigned byte and a signed one; no step of it saturates
    static __m256i dot(__m256i c, __m256i a, __m256i b) {
#ifdef WELLREAD_EMULATED
        const __m256i low = _mm256_set1_epi16(255);
        const __m256i even = _mm256_madd_epi16(_mm256_and_si256(a, low), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
        const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
        return _mm256_add_epi32(c, _mm256_add_epi32(even, odd));
#else
        // no intrinsic: around that, GCC 12 copies every sum to another register and back, and spills
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
        return c;
#endif
    }
};

}  // namespace

#endif
