#include "worker/analyze/unpack.h"

#include <bzlib.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/error.h"
#include "worker/analyze/source.h"

/* What a decoder said. */
enum step {
    STEP_ON,      /* go on; with neither input nor output moved, and no more input: cut off */
    STEP_END,     /* of a stream; another one may follow */
    STEP_DAMAGED, /* not what it says, or a wrong checksum */
    STEP_LARGE,   /* wants too much memory */
    STEP_MEMORY
};

struct unpack {
    enum unpack_kind kind;
    unpack_feed *feed;
    void *arg;
    const uint8_t *in;
    size_t in_size;
    bool fed_all;   /* feed() has no more */
    bool is_open;   /* a decoder is set up */
    bool in_stream; /* a stream has begun and not ended */
    bool is_over;
    struct argosy_error failed; /* told when all before it has been given */
    size_t out_size;
    z_stream gzip;
    bz_stream bzip2;
    lzma_stream xz;
    ZSTD_DStream *zstd;
    uint8_t out[UNPACK_PIECE_BYTES];
};

/* ---- the four decoders: begin, step, end
 * ----------------------------------------------------------------------------- */

static enum step gzip_begin(unpack_t *self)
{
    self->gzip = (z_stream){0};
    return inflateInit2(&self->gzip, 15 + 16) == Z_OK ? STEP_ON : STEP_MEMORY; /* 16: gzip */
}

static enum step gzip_step(unpack_t *self)
{
    z_stream *z = &self->gzip;
    int rc;

    z->next_in = (Bytef *)(uintptr_t)self->in;
    z->avail_in = (uInt)self->in_size;
    z->next_out = self->out + self->out_size;
    z->avail_out = (uInt)(sizeof self->out - self->out_size);
    rc = inflate(z, Z_NO_FLUSH);
    self->in = z->next_in;
    self->in_size = z->avail_in;
    self->out_size = sizeof self->out - z->avail_out;
    if (rc == Z_OK || rc == Z_BUF_ERROR)
        return STEP_ON;
    return rc == Z_STREAM_END ? STEP_END : rc == Z_MEM_ERROR ? STEP_MEMORY : STEP_DAMAGED;
}

static void gzip_end(unpack_t *self)
{
    inflateEnd(&self->gzip);
}

static enum step bzip2_begin(unpack_t *self)
{
    self->bzip2 = (bz_stream){0};
    return BZ2_bzDecompressInit(&self->bzip2, 0, 0) == BZ_OK ? STEP_ON : STEP_MEMORY;
}

static enum step bzip2_step(unpack_t *self)
{
    bz_stream *b = &self->bzip2;
    int rc;

    b->next_in = (char *)(uintptr_t)self->in;
    b->avail_in = (unsigned)self->in_size;
    b->next_out = (char *)self->out + self->out_size;
    b->avail_out = (unsigned)(sizeof self->out - self->out_size);
    rc = BZ2_bzDecompress(b);
    self->in = (const uint8_t *)b->next_in;
    self->in_size = b->avail_in;
    self->out_size = sizeof self->out - b->avail_out;
    if (rc == BZ_OK)
        return STEP_ON;
    return rc == BZ_STREAM_END ? STEP_END : rc == BZ_MEM_ERROR ? STEP_MEMORY : STEP_DAMAGED;
}

static void bzip2_end(unpack_t *self)
{
    BZ2_bzDecompressEnd(&self->bzip2);
}

static enum step xz_begin(unpack_t *self)
{
    const uint64_t beside = 4 << 20; /* what a decoder needs beside its dictionary, and some */

    self->xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(&self->xz, SOURCE_DICTIONARY_BYTES_MAX + beside,
                               LZMA_CONCATENATED) == LZMA_OK
               ? STEP_ON
               : STEP_MEMORY;
}

static enum step xz_step(unpack_t *self)
{
    lzma_stream *x = &self->xz;
    lzma_ret rc;

    x->next_in = self->in;
    x->avail_in = self->in_size;
    x->next_out = self->out + self->out_size;
    x->avail_out = sizeof self->out - self->out_size;
    rc = lzma_code(x, self->fed_all ? LZMA_FINISH : LZMA_RUN);
    self->in = x->next_in;
    self->in_size = x->avail_in;
    self->out_size = sizeof self->out - x->avail_out;
    switch (rc) {
    case LZMA_OK:
    case LZMA_BUF_ERROR:
        return STEP_ON;
    case LZMA_STREAM_END:
        return STEP_END;
    case LZMA_MEMLIMIT_ERROR:
        return STEP_LARGE;
    case LZMA_MEM_ERROR:
        return STEP_MEMORY;
    default:
        return STEP_DAMAGED;
    }
}

static void xz_end(unpack_t *self)
{
    lzma_end(&self->xz);
}

static enum step zstd_begin(unpack_t *self)
{
    self->zstd = ZSTD_createDStream();
    if (self->zstd == NULL)
        return STEP_MEMORY;
    /* 2^27 is what zstd itself accepts without being told to, and half of what xz may have here. */
    ZSTD_DCtx_setParameter(self->zstd, ZSTD_d_windowLogMax, 27);
    return STEP_ON;
}

static enum step zstd_step(unpack_t *self)
{
    ZSTD_inBuffer in = {self->in, self->in_size, 0};
    ZSTD_outBuffer out = {self->out, sizeof self->out, self->out_size};
    size_t rc = ZSTD_decompressStream(self->zstd, &out, &in);

    self->in += in.pos;
    self->in_size -= in.pos;
    self->out_size = out.pos;
    if (!ZSTD_isError(rc))
        return rc == 0 ? STEP_END : STEP_ON;
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return STEP_LARGE;
    case ZSTD_error_memory_allocation:
        return STEP_MEMORY;
    default:
        return STEP_DAMAGED;
    }
}

static void zstd_end(unpack_t *self)
{
    ZSTD_freeDStream(self->zstd);
    self->zstd = NULL;
}

static const struct codec {
    const char *name;
    uint8_t magic[6];
    size_t magic_size;
    enum step (*begin)(unpack_t *self);
    enum step (*step)(unpack_t *self);
    void (*end)(unpack_t *self);
} codecs[] = {
    [UNPACK_GZIP] = {"gzip", {0x1f, 0x8b, 8}, 3, gzip_begin, gzip_step, gzip_end},
    [UNPACK_BZIP2] = {"bzip2", {'B', 'Z', 'h'}, 3, bzip2_begin, bzip2_step, bzip2_end},
    [UNPACK_XZ] = {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, xz_begin, xz_step, xz_end},
    [UNPACK_ZSTD] = {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, zstd_begin, zstd_step, zstd_end},
};

/* Frames that hold no data; parallel compressors begin with one. */
static bool is_skippable(struct ag_bytes first)
{
    return first.size >= 4 && (first.data[0] & 0xf0) == 0x50 &&
           memcmp(first.data + 1, "\x2a\x4d\x18", 3) == 0;
}

enum unpack_kind unpack_kind_of(struct ag_bytes first)
{
    for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_ZSTD; kind++)
        if (first.size >= codecs[kind].magic_size &&
            memcmp(first.data, codecs[kind].magic, codecs[kind].magic_size) == 0)
            return kind;
    return is_skippable(first) ? UNPACK_ZSTD : UNPACK_NONE;
}

/* ---- the stream
 * --------------------------------------------------------------------------------------- */

int unpack_new(unpack_t **out, enum unpack_kind kind, unpack_feed *feed, void *arg,
               struct argosy_error *err)
{
    unpack_t *self = calloc(1, sizeof *self);

    *out = self;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory to unpack");
    self->kind = kind;
    self->feed = feed;
    self->arg = arg;
    return 0;
}

void unpack_destroy(unpack_t **self_p)
{
    unpack_t *self = *self_p;

    if (self == NULL)
        return;
    if (self->is_open)
        codecs[self->kind].end(self);
    free(self);
    *self_p = NULL;
}

static void refill(unpack_t *self)
{
    ssize_t got;

    if (self->in_size > 0 || self->fed_all)
        return;
    got = self->feed(self->arg, &self->in, &self->failed);
    if (got < 0) {
        self->failed.code = (int)got;
        return;
    }
    self->in_size = (size_t)got;
    self->fed_all = got == 0;
}

/* Between two streams: does another one begin? Its first byte decides: the others may not be there
 * yet, and what begins like one and is none is damage. */
static bool next_stream(unpack_t *self)
{
    const struct codec *codec = &codecs[self->kind];

    if (self->is_open) {
        codec->end(self);
        self->is_open = false;
    }
    if (self->in_size == 0 || (self->in[0] != codec->magic[0] &&
                               !(self->kind == UNPACK_ZSTD && (self->in[0] & 0xf0) == 0x50)))
        return false;
    if (codec->begin(self) != STEP_ON) {
        ag_fail(&self->failed, ARGOSY_ENOMEM, "no memory to unpack");
        return false;
    }
    return self->is_open = self->in_stream = true;
}

static void take_step(unpack_t *self)
{
    size_t in_size = self->in_size, out_size = self->out_size;
    const char *name = codecs[self->kind].name;

    switch (codecs[self->kind].step(self)) {
    case STEP_ON:
        if (self->fed_all && in_size == self->in_size && out_size == self->out_size)
            ag_fail(&self->failed, ARGOSY_EPROTO, "cut off: its %s stream has no end", name);
        break;
    case STEP_END:
        self->in_stream = false;
        break;
    case STEP_DAMAGED:
        ag_fail(&self->failed, ARGOSY_EPROTO, "damaged: its %s stream cannot be unpacked", name);
        break;
    case STEP_LARGE:
        ag_fail(&self->failed, ARGOSY_ETOOBIG,
                "unpacking its %s stream takes more memory than is allowed", name);
        break;
    case STEP_MEMORY:
        ag_fail(&self->failed, ARGOSY_ENOMEM, "no memory to unpack");
        break;
    }
}

ssize_t unpack_read(unpack_t *self, const uint8_t **data, struct argosy_error *err)
{
    self->out_size = 0;
    while (!self->is_over && self->failed.code == 0 && self->out_size < sizeof self->out) {
        refill(self);
        if (self->failed.code != 0)
            break;
        if (!self->in_stream && !next_stream(self))
            self->is_over = self->failed.code == 0;
        else
            take_step(self);
    }
    *data = self->out;
    if (self->out_size == 0 && self->failed.code != 0)
        return ag_fail(err, self->failed.code, "%s", self->failed.message);
    return (ssize_t)self->out_size;
}
