// The primitives beside AMX: those of AVX-512 with VNNI, and numbers in bfloat16.
#ifndef WELLREAD_ISA_AMX_HPP
#define WELLREAD_ISA_AMX_HPP

#include "isa_avx512_vnni.hpp"

namespace {

struct Amx : Avx512Vnni {
    // 16 numbers and 16 more in bfloat16, rounded to the nearest
    static I to_bf16(V first, V second) { return (__m512i)_mm512_cvtne2ps_pbh(second, first); }
    // the same, a number of the one beside a number of the other
    static I to_bf16_pairs(V first, V second) {
        alignas(64) static const uint16_t order[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
        return _mm512_permutexvar_epi16(load_bits(order), to_bf16(first, second));
    }
    static I load_bits(const void *p) { return _mm512_loadu_si512(p); }
    static void store_bits(void *p, I a) { _mm512_storeu_si512(p, a); }

    // 16 rows of 16 lanes -> their columns
    static void transpose(I (&rows)[16]) {
        I t[16];
        for (int i = 0; i < 16; i += 2) {
            t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
            t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
        }
        for (int i = 0; i < 16; i += 4) {  // now four lanes that belong together, of each quarter of a register
            for (int j = 0; j < 2; j++) {
                rows[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + 2 + j]);
                rows[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + 2 + j]);
            }
        }
        for (int i = 0; i < 4; i++) {  // a transposition of quarters
            const I a = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0x44);
            const I b = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0xee);
            const I c = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0x44);
            const I d = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0xee);
            t[i] = _mm512_shuffle_i32x4(a, c, 0x88);
            t[4 + i] = _mm512_shuffle_i32x4(a, c, 0xdd);
            t[8 + i] = _mm512_shuffle_i32x4(b, d, 0x88);
            t[12 + i] = _mm512_shuffle_i32x4(b, d, 0xdd);
        }
        for (int i = 0; i < 16; i++) rows[i] = t[i];
    }
};

}  // namespace

#endif
