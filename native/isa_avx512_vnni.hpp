// The primitives on AVX-512 with VNNI: those of AVX-512, and one instruction for what there takes three.
#ifndef WELLREAD_ISA_AVX512_VNNI_HPP
#define WELLREAD_ISA_AVX512_VNNI_HPP

#include "isa_avx512.hpp"

namespace {

struct Avx512Vnni : Avx512 {
    // To each lane of c, four products of an unsigned byte and a signed one. No intrinsic: around that, GCC 12 copies
    // every sum to another register and back, and spills.
    static I dot(I c, Bytes a, Weights b) {
#ifdef WELLREAD_EMULATED
        return _mm512_dpbusd_epi32(c, a, b);
#else
        asm("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
        return c;
#endif
    }
};

}  // namespace

#endif
