#include "worker/analyze/scan.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void scan_init(struct scan *self, const uint8_t *data, size_t size)
{
    *self = (struct scan){.data = data, .size = size};
    self->base = size; /* no block in hand */
}

#if defined(__SSE2__)

/* One bit for each byte of the block that is in the set. */
static uint64_t find_marks(const uint8_t *block, const struct needles *set)
{
    __m128i found[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
                        _mm_setzero_si128()};
    __m128i bytes[4];
    uint64_t marks = 0;

    for (unsigned i = 0; i < 4; i++)
        bytes[i] = _mm_loadu_si128((const __m128i *)(const void *)(block + i * 16));
    for (unsigned n = 0; n < set->count; n++) {
        __m128i needle = _mm_loadu_si128((const __m128i *)(const void *)set->spread[n]);

        for (unsigned i = 0; i < 4; i++)
            found[i] = _mm_or_si128(found[i], _mm_cmpeq_epi8(bytes[i], needle));
    }
    for (unsigned i = 0; i < 4; i++)
        marks |= (uint64_t)(uint32_t)_mm_movemask_epi8(found[i]) << (i * 16);
    return marks;
}

static void find_lines(struct scan *self)
{
    const __m128i newline = _mm_set1_epi8('\n'), space = _mm_set1_epi8(' ');
    const __m128i tab = _mm_set1_epi8('\t'), four = _mm_set1_epi8(4);
    uint64_t newlines = 0, whites = 0;

    for (unsigned i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(self->block + i * 16));
        __m128i from_tab = _mm_sub_epi8(bytes, tab); /* \t \n \v \f \r become 0..4 */
        __m128i white = _mm_or_si128(_mm_cmpeq_epi8(bytes, space),
                                     _mm_cmpeq_epi8(_mm_min_epu8(from_tab, four), from_tab));

        newlines |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, newline))
                    << (i * 16);
        whites |= (uint64_t)(uint32_t)_mm_movemask_epi8(white) << (i * 16);
    }
    self->newlines = newlines & self->valid;
    self->solids = ~whites & self->valid;
}

#else

static uint64_t find_marks(const uint8_t *block, const struct needles *set)
{
    bool is[256] = {false};
    uint64_t marks = 0;

    for (unsigned n = 0; n < set->count; n++)
        is[set->spread[n][0]] = true;
    for (unsigned i = 0; i < BLOCK_BYTES; i++)
        marks |= (uint64_t)is[block[i]] << i;
    return marks;
}

static void find_lines(struct scan *self)
{
    uint64_t newlines = 0, solids = 0;

    for (unsigned i = 0; i < BLOCK_BYTES; i++) {
        newlines |= (uint64_t)(self->block[i] == '\n') << i;
        solids |= (uint64_t)!scan_is_white(self->block[i]) << i;
    }
    self->newlines = newlines & self->valid;
    self->solids = solids & self->valid;
}

#endif

/* Take the block that begins at `base` into hand. */
static void load(struct scan *self, size_t base)
{
    size_t left = self->size - base;

    self->base = base;
    self->block = self->data + base;
    self->valid = ~UINT64_C(0);
    if (left < BLOCK_BYTES) { /* never read beyond what we were given */
        memset(self->tail, ' ', sizeof self->tail);
        memcpy(self->tail, self->block, left);
        self->block = self->tail;
        self->valid = (UINT64_C(1) << left) - 1;
    }
    self->sets[0] = self->sets[1] = NULL;
    find_lines(self);
}

/* One bit for each byte of the block in hand that is in the set. */
static uint64_t marks_of(struct scan *self, const struct needles *set)
{
    if (self->sets[0] == set)
        return self->marks[0];
    if (self->sets[1] == set)
        return self->marks[1];
    self->sets[1] = self->sets[0];
    self->marks[1] = self->marks[0];
    self->sets[0] = set;
    self->marks[0] = find_marks(self->block, set);
    return self->marks[0];
}

size_t scan_find(struct scan *self, size_t from, const struct needles *set, enum scan_paint paint)
{
    const unsigned holds = paint & (LINE_CODE | LINE_COMMENT);
    const bool always = paint == SCAN_STRING;

    while (from < self->size) {
        uint64_t range, marks, ends;

        if (from < self->base || from - self->base >= BLOCK_BYTES)
            load(self, from);
        range = self->valid & (~UINT64_C(0) << (from - self->base));
        marks = marks_of(self, set) & range;
        if (marks != 0)
            range &= (marks & -marks) - 1;
        for (ends = self->newlines & range; ends != 0; ends &= ends - 1) {
            uint64_t before = (ends & -ends) - 1;

            if ((self->solids & range & before) || always)
                self->line |= holds;
            scan_end_line(self);
            range &= ~(before << 1 | 1);
        }
        if ((self->solids & range) || always)
            self->line |= holds;
        if (marks != 0)
            return self->base + (unsigned)__builtin_ctzll(marks);
        from = self->base + BLOCK_BYTES;
    }
    return self->size;
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
