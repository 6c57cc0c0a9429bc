/* The C interface of the native kernel: what src/wellread/backends/native.py calls through ctypes.
 *
 * Shape letters are the project's: B texts, N tokens of all of them, D hidden, H heads, F inner, L layers, W embeddings.
 * Arrays are contiguous, row after row. Texts are ragged: text b has the tokens offsets[b] to offsets[b + 1], without
 * padding. Nothing here checks what Python has checked, but ids, lengths and the variant are checked again.
 *
 * A text's numbers do not depend on the texts beside it, on their order or on the number of threads.
 */
#ifndef WELLREAD_H
#define WELLREAD_H

#include <stdint.h>

#if defined(__GNUC__)
#define WELLREAD_API __attribute__((visibility("default")))
#else
#define WELLREAD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum wellread_dtype { WELLREAD_F32 = 0, WELLREAD_F16 = 1, WELLREAD_BF16 = 2, WELLREAD_INT8 = 3 };
enum wellread_activation {
    WELLREAD_IDENTITY = 0,
    WELLREAD_GELU = 1,      /* by the error function */
    WELLREAD_GELU_TANH = 2, /* by tanh, as Google's code has it */
    WELLREAD_RELU = 3,
    WELLREAD_TANH = 4
};
/* What a product computes in. int8 matrices are multiplied as int8 whatever is asked. */
enum wellread_precision { WELLREAD_AS_F32 = 0, WELLREAD_AS_BF16 = 1 };
/* 0 is fine; the rest is what went wrong. */
enum wellread_error {
    WELLREAD_OK = 0,
    WELLREAD_BAD_ID = -1,    /* an id, a position or a type outside its table */
    WELLREAD_BAD_SHAPE = -2, /* a width, a head or a length that the kernel does not know */
    WELLREAD_NO_MEMORY = -3,
    WELLREAD_BAD_VARIANT = -4 /* unknown, or this CPU or system refuses it */
};

/* A table or the weights [rows, columns] of a linear map: rows are outputs, as Hugging Face stores them. */
typedef struct {
    const void *values;
    const float *scales;       /* int8: [rows], what each row's integers are multiplied by; else NULL */
    const float *input_scales; /* int8: [columns], what inputs are multiplied by before they become int8; NULL: 1 */
    const float *bias;         /* [rows] or NULL */
    int32_t rows, columns;     /* rows 0: there is none */
    int32_t dtype;             /* of values; int8: in each row, neighbours 2i and 2i + 1 together at most 128 in size */
} wellread_matrix;

typedef struct {
    const float *gain, *shift; /* [D]; NULL: there is none */
} wellread_norm;

typedef struct {
    wellread_matrix query, key, value, attention_output, intermediate, output;
    wellread_norm attention_norm, output_norm;
} wellread_layer;

typedef struct {
    int32_t layers, width, heads, inner, activation;
    float eps;                               /* of every LayerNorm */
    wellread_matrix words, positions, types; /* tables [.., W], kept by address; types.rows 0: there is none */
    wellread_norm embedding_norm;            /* [W] */
    wellread_matrix project;                 /* W to D; rows 0: there is none */
    wellread_matrix relative;    /* [H, 2 T - 1] in F32, texts of at most T tokens: number T - 1 + j - i is added to the
                               * score of a query at i and a key at j; rows 0: there is none */
    const wellread_layer *layer; /* [layers] */
} wellread_encoder;

typedef struct {
    int64_t texts;            /* B */
    const int64_t *offsets;   /* [B + 1], from 0 to N */
    const int32_t *ids;       /* [N] */
    const int32_t *positions; /* [N] rows of the position table; NULL: 0, 1, 2 ... in each text */
    const int32_t *types;     /* [N]; NULL: 0 */
    const uint8_t *mask;  /* [N], 0: no query sees this key; NULL: all are seen. A text without a key sees all alike */
    const float *weights; /* [N], of the tokens in sums; NULL: 1 */
} wellread_batch;

/* Where the results go; NULL: not wanted. Without hidden[L - 1] and sums, the last block computes position 0 alone. */
typedef struct {
    float *embedding;     /* [N, D], what goes into the first block */
    float *const *hidden; /* [L] pointers, each NULL or [N, D] */
    float *first;         /* [B, D], position 0 behind the last block */
    float *sums;          /* [B, D], weights times what is behind the last block, summed over the text */
} wellread_results;

WELLREAD_API int32_t wellread_interface(void); /* the version of this file: 2 */
WELLREAD_API int32_t wellread_variants(void);  /* how many variants the library has; 0 is the portable one */
WELLREAD_API const char *wellread_variant_name(
    int32_t); /* "portable", "avx2", "avx_vnni", "avx512", "avx512_vnni", "amx" */
WELLREAD_API int32_t wellread_variant_supported(int32_t); /* 1: this CPU and this system let it run */
WELLREAD_API int32_t wellread_variant_computes(int32_t variant,
                                               int32_t precision); /* 1: it has products of that precision */

/* Weights are packed; tables stay where they are and must outlive the model. NULL: *error says why. */
WELLREAD_API void *wellread_load(const wellread_encoder *, int32_t variant, int32_t precision, int32_t *error);
WELLREAD_API int32_t wellread_encode(const void *model, const wellread_batch *, const wellread_results *,
                                     int32_t threads);
WELLREAD_API void wellread_free(void *model);

/* One linear map by itself: x [N, columns] -> y [N, rows], with bias and activation. */
WELLREAD_API void *wellread_linear_load(const wellread_matrix *, int32_t variant, int32_t precision, int32_t *error);
WELLREAD_API int32_t wellread_linear(const void *linear, const float *x, int64_t n, float *y, int32_t activation,
                                     int32_t threads);
WELLREAD_API void wellread_linear_free(void *linear);

/* WordPiece: texts in UTF-8 to ids. What becomes of a code point is said by Python, for 128 of them at a time: UTF-8 in
 * which spaces end words. Code points may also "move": normalisation might reorder two of them that stand together. */
typedef struct {
    const char *pieces;  /* [pieces_size], lines that end in "\n"; the id is the line's number. A piece that stands */
    int64_t pieces_size; /* twice has its last id; an empty one is never found; "##" begins those that go on */
    const char *special; /* [special_size], lines likewise, none empty: texts that hold one are left out */
    int64_t special_size;
    int32_t unknown;          /* the id of a word that pieces do not make up */
    int32_t longest;          /* 1 to 10,000; a longer word is unknown */
    int32_t longest_in_bytes; /* 1: `longest` counts bytes; 0: code points */
} wellread_wordpiece;

typedef struct {
    const char *utf8;       /* the texts, one behind the other */
    const int64_t *offsets; /* [B + 1] where each begins and ends, in bytes */
    int64_t texts;          /* B */
    int64_t limit;          /* ids of a text at most: it is read no further; -1: any number */
} wellread_texts;

WELLREAD_API void *wellread_wordpiece_load(const wellread_wordpiece *, int32_t *error);
WELLREAD_API void wellread_wordpiece_free(void *wordpiece);
/* Rules of the code points 128 * page to 128 * page + 127: text[offsets[i]] to text[offsets[i + 1]]; [129], [128]. */
WELLREAD_API int32_t wellread_wordpiece_page(void *wordpiece, int32_t page, const char *text, const int32_t *offsets,
                                             const uint8_t *moves);
/* Mark in missing [0x2200] the pages that a text needs and that were not given yet; return how many. */
WELLREAD_API int32_t wellread_wordpiece_missing(const void *wordpiece, const char *utf8, int64_t bytes,
                                                uint8_t *missing);
/* Write the ids of all texts if they are at most `room`; return their number, or an error. lengths [B]: of each text; -1
 * for one that is left out, as it holds a special token, code points that move, or one of a page that is missing. */
WELLREAD_API int64_t wellread_wordpiece_encode(const void *wordpiece, const wellread_texts *, int32_t threads,
                                               int32_t *ids, int64_t room, int64_t *lengths);

#ifdef __cplusplus
}
#endif
#endif
