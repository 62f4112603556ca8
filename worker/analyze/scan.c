#include "worker/analyze/scan.h"

#include "worker/analyze/vector.h"

/* What a block is boiled down to; each width of vector has a pair of these. */
struct lines {
    uint64_t newlines, whites; /* newlines are white */
};
/* One bit for each byte of the block that is in the set; one more byte may be read. */
typedef uint64_t marks_fn(const uint8_t *block, const struct needles *set);
typedef struct lines lines_fn(const uint8_t *block);

/* ---- any processor -----------------------------------------------------------------------------
 */

static uint64_t marks_portable(const uint8_t *block, const struct needles *set)
{
    bool is[256] = {false};
    uint64_t marks = 0;

    for (unsigned n = 0; n < set->count; n++)
        is[set->spread[n][0]] = true;
    for (unsigned i = 0; i < BLOCK_BYTES; i++)
        marks |= (uint64_t)(is[block[i]] && (!set->has_second || block[i] != set->spread[0][0] ||
                                             block[i + 1] == set->second[0]))
                 << i;
    return marks;
}

static struct lines lines_portable(const uint8_t *block)
{
    struct lines lines = {0};

    for (unsigned i = 0; i < BLOCK_BYTES; i++) {
        lines.newlines |= (uint64_t)(block[i] == '\n') << i;
        lines.whites |= (uint64_t)scan_is_white(block[i]) << i;
    }
    return lines;
}

/* ---- 16 bytes at once --------------------------------------------------------------------------
 */

#if defined(__SSE2__)

enum { QUARTERS = BLOCK_BYTES / 16 };

static inline uint64_t join_sse2(const __m128i parts[QUARTERS])
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(parts[0]) |
           (uint64_t)(uint32_t)_mm_movemask_epi8(parts[1]) << 16 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(parts[2]) << 32 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(parts[3]) << 48;
}

static inline uint64_t marks_sse2(const uint8_t *block, const struct needles *set)
{
    const __m128i *from = (const __m128i *)(const void *)block;
    __m128i bytes[QUARTERS], found[QUARTERS];

#pragma GCC unroll 4
    for (unsigned i = 0; i < QUARTERS; i++) {
        bytes[i] = _mm_loadu_si128(from + i);
        found[i] = _mm_setzero_si128();
    }
    for (unsigned n = 0; n < set->count; n++) {
        __m128i needle = _mm_loadu_si128((const __m128i *)(const void *)set->spread[n]);

#pragma GCC unroll 4
        for (unsigned i = 0; i < QUARTERS; i++)
            found[i] = _mm_or_si128(found[i], _mm_cmpeq_epi8(bytes[i], needle));
    }
    for (unsigned i = 0; set->has_second && i < QUARTERS; i++) {
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(block + 1) + i);
        __m128i first = _mm_loadu_si128((const __m128i *)(const void *)set->spread[0]);
        __m128i second = _mm_loadu_si128((const __m128i *)(const void *)set->second);
        __m128i alone =
            _mm_andnot_si128(_mm_cmpeq_epi8(next, second), _mm_cmpeq_epi8(bytes[i], first));

        found[i] = _mm_andnot_si128(alone, found[i]);
    }
    return join_sse2(found);
}

static inline struct lines lines_sse2(const uint8_t *block)
{
    const __m128i newline = _mm_set1_epi8('\n'), space = _mm_set1_epi8(' ');
    const __m128i tab = _mm_set1_epi8('\t'), four = _mm_set1_epi8(4);
    __m128i newlines[QUARTERS], whites[QUARTERS];

#pragma GCC unroll 4
    for (unsigned i = 0; i < QUARTERS; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)block + i);
        __m128i from_tab = _mm_sub_epi8(bytes, tab); /* \t \n \v \f \r become 0..4 */

        newlines[i] = _mm_cmpeq_epi8(bytes, newline);
        whites[i] = _mm_or_si128(_mm_cmpeq_epi8(bytes, space),
                                 _mm_cmpeq_epi8(_mm_min_epu8(from_tab, four), from_tab));
    }
    return (struct lines){join_sse2(newlines), join_sse2(whites)};
}

/* ---- 32 bytes at once --------------------------------------------------------------------------
 */

VECTOR_AVX2_TARGET static inline uint64_t join_avx2(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

VECTOR_AVX2_TARGET static inline __m256i load_avx2(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

VECTOR_AVX2_TARGET static inline __m256i twice_avx2(const uint8_t from[VECTOR_BYTES])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)from));
}

VECTOR_AVX2_TARGET static inline uint64_t marks_avx2(const uint8_t *block,
                                                     const struct needles *set)
{
    const __m256i low = load_avx2(block), high = load_avx2(block + 32);
    __m256i found_low = _mm256_setzero_si256(), found_high = _mm256_setzero_si256();

    if (set->has_table) {
        __m256i table = twice_avx2(set->table);

        found_low = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, low), low);
        found_high = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, high), high);
    }
    for (unsigned n = 0; !set->has_table && n < set->count; n++) {
        __m256i needle = twice_avx2(set->spread[n]);

        found_low = _mm256_or_si256(found_low, _mm256_cmpeq_epi8(low, needle));
        found_high = _mm256_or_si256(found_high, _mm256_cmpeq_epi8(high, needle));
    }
    if (set->has_second) {
        __m256i first = twice_avx2(set->spread[0]), second = twice_avx2(set->second);
        __m256i low_next = _mm256_cmpeq_epi8(load_avx2(block + 1), second);
        __m256i high_next = _mm256_cmpeq_epi8(load_avx2(block + 33), second);

        found_low = _mm256_andnot_si256(
            _mm256_andnot_si256(low_next, _mm256_cmpeq_epi8(low, first)), found_low);
        found_high = _mm256_andnot_si256(
            _mm256_andnot_si256(high_next, _mm256_cmpeq_epi8(high, first)), found_high);
    }
    return join_avx2(found_low, found_high);
}

VECTOR_AVX2_TARGET static inline struct lines lines_avx2(const uint8_t *block)
{
    /* At the place of its low four bits each white byte has itself; the other places have what is
     * never found there. */
    const __m256i white = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(' ', -1, -1, -1, -1, -1, -1, -1, -1, '\t', '\n', '\v', '\f', '\r', -1, -1));
    const __m256i newline = _mm256_set1_epi8('\n');
    const __m256i low = load_avx2(block), high = load_avx2(block + 32);

    return (struct lines){
        join_avx2(_mm256_cmpeq_epi8(low, newline), _mm256_cmpeq_epi8(high, newline)),
        join_avx2(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(white, low), low),
                  _mm256_cmpeq_epi8(_mm256_shuffle_epi8(white, high), high))};
}

#endif

/* ---- the search, whatever the width ------------------------------------------------------------
 */

/* Take the block that begins at `base` into hand. */
static inline __attribute__((always_inline)) void load(struct scan *self, size_t base,
                                                       lines_fn *lines_of)
{
    size_t left = self->size - base;
    struct lines lines;

    self->base = base;
    self->block = self->data + base;
    self->valid = ~UINT64_C(0);
    if (left <= BLOCK_BYTES) { /* never read beyond what we were given */
        memset(self->tail, ' ', sizeof self->tail);
        memcpy(self->tail, self->block, left);
        self->block = self->tail;
        self->valid >>= BLOCK_BYTES - left;
    }
    self->sets[0] = self->sets[1] = NULL;
    lines = lines_of(self->block);
    self->newlines = lines.newlines & self->valid;
    self->solids = ~lines.whites & self->valid;
}

/* One bit for each byte of the block in hand that is in the set. */
static inline __attribute__((always_inline)) uint64_t
marks_of(struct scan *self, const struct needles *set, marks_fn *marks)
{
    if (self->sets[0] == set)
        return self->marks[0];
    if (self->sets[1] == set)
        return self->marks[1];
    self->sets[1] = self->sets[0];
    self->marks[1] = self->marks[0];
    self->sets[0] = set;
    self->marks[0] = marks(self->block, set) & self->valid;
    return self->marks[0];
}

/* The account of lines while a search runs: in registers, not in memory. */
struct account {
    uint64_t blanks, held; /* finished lines: empty ones, and those that hold what is searched in */
    unsigned line;         /* as in struct scan */
};

/* Lines that end in `range` of a block, which begins at its lowest bit, and what the one that does
 * not end there holds so far. */
static inline __attribute__((always_inline)) void take(struct scan *self, struct account *account,
                                                       uint64_t newlines, uint64_t solids,
                                                       uint64_t range, enum scan_paint paint)
{
    const unsigned holds = paint & (LINE_CODE | LINE_COMMENT);
    const uint64_t always = paint == SCAN_STRING ? ~UINT64_C(0) : 0;
    uint64_t ends = newlines & range, gaps, begins, blanks;

    solids = (solids | always) & range;
    if (ends == 0) {
        if ((solids | always) != 0)
            account->line |= holds;
        return;
    }
    if ((solids & (ends ^ (ends - 1))) != 0)
        account->line |= holds;
    self->lines[account->line]++;
    /* The other lines begin and end here. Added to the white space in front of them, a line's
     * beginning is carried to the first byte that is none: to the newline if the line is blank. */
    begins = ends << 1 & range;
    gaps = range & ~(solids | ends);
    blanks = ((gaps + (begins & gaps)) & ~gaps) | (begins & ~gaps);
    blanks &= ends & ~solids;
    account->blanks += (unsigned)__builtin_popcountll(blanks);
    account->held += (unsigned)__builtin_popcountll((ends & (ends - 1)) ^ blanks);
    account->line =
        (solids & ~(~UINT64_C(0) >> __builtin_clzll(ends))) != 0 || always != 0 ? holds : 0;
}

static inline __attribute__((always_inline)) size_t
close_account(struct scan *self, const struct account *account, enum scan_paint paint, size_t at)
{
    self->lines[LINE_BLANK] += account->blanks;
    self->lines[paint & (LINE_CODE | LINE_COMMENT)] += account->held;
    self->line = account->line;
    return at;
}

/* `paint` is a constant to the compiler. */
static inline __attribute__((always_inline)) size_t find(struct scan *self, size_t from,
                                                         const struct needles *set,
                                                         enum scan_paint paint, marks_fn *marks_in,
                                                         lines_fn *lines_of)
{
    struct account account = {.line = self->line};
    uint64_t range, marks;

    while (from < self->size) {
        if (from < self->base || from - self->base >= BLOCK_BYTES) {
            /* Whole blocks without a mark are taken and forgotten. */
            for (marks = 0; self->size - from > BLOCK_BYTES; from += BLOCK_BYTES) {
                struct lines lines;

                marks = marks_in(self->data + from, set);
                if (marks != 0)
                    break;
                lines = lines_of(self->data + from);
                take(self, &account, lines.newlines, ~lines.whites, ~UINT64_C(0), paint);
            }
            load(self, from, lines_of);
            if (marks != 0) {
                self->sets[0] = set;
                self->marks[0] = marks;
            }
        }
        range = self->valid & (~UINT64_C(0) << (from - self->base));
        marks = marks_of(self, set, marks_in) & range;
        if (marks != 0)
            range &= (marks & -marks) - 1;
        take(self, &account, self->newlines, self->solids, range, paint);
        if (marks != 0)
            return close_account(self, &account, paint,
                                 self->base + (unsigned)__builtin_ctzll(marks));
        from = self->base + BLOCK_BYTES;
    }
    return close_account(self, &account, paint, self->size);
}

/* One function for each paint would be three for each width; a switch costs less than it saves. */
static inline __attribute__((always_inline)) size_t find_in(struct scan *self, size_t from,
                                                            const struct needles *set,
                                                            enum scan_paint paint,
                                                            marks_fn *marks_in, lines_fn *lines_of)
{
    switch (paint) {
    case SCAN_CODE:
        return find(self, from, set, SCAN_CODE, marks_in, lines_of);
    case SCAN_COMMENT:
        return find(self, from, set, SCAN_COMMENT, marks_in, lines_of);
    case SCAN_STRING:
        break;
    }
    return find(self, from, set, SCAN_STRING, marks_in, lines_of);
}

/* ---- one function for each width ---------------------------------------------------------------
 */

static size_t find_portable(struct scan *self, size_t from, const struct needles *set,
                            enum scan_paint paint)
{
    return find_in(self, from, set, paint, marks_portable, lines_portable);
}

#if defined(__SSE2__)

static size_t find_sse2(struct scan *self, size_t from, const struct needles *set,
                        enum scan_paint paint)
{
    return find_in(self, from, set, paint, marks_sse2, lines_sse2);
}

VECTOR_AVX2_TARGET static size_t find_avx2(struct scan *self, size_t from,
                                           const struct needles *set, enum scan_paint paint)
{
    return find_in(self, from, set, paint, marks_avx2, lines_avx2);
}

#endif

void scan_init(struct scan *self, const uint8_t *data, size_t size)
{
    *self = (struct scan){.data = data, .size = size, .find = VECTOR_VARIANT(find)};
    self->base = size; /* no block in hand */
}

void scan_pass(struct scan *self, size_t from, size_t to, enum scan_paint paint)
{
    const unsigned holds = paint & (LINE_CODE | LINE_COMMENT);

    for (; from < to; from++) {
        if (self->data[from] == '\n')
            scan_end_line(self);
        else if (!scan_is_white(self->data[from]))
            self->line |= holds;
    }
}
