/* The kernels of product.h, for the vectors that rows_kernels.h works with; included behind it. The including file gives transpose_ (of VN
 * vectors, in place), PRODUCT_ROWS (of a tile: with PRODUCT_VECTORS vectors each they fill the registers) and the table's name: PRODUCTS.
 *
 * b is cut into parts of at most PART rows and these into panels of VECTORS vectors, [k][vector][VN] each: a panel stays in the second-level
 * cache while all rows of a go by. Tiles are as equal as M allows: 257 rows are 25 of 9 and 4 of 8. */
enum {
    PRODUCT_VECTORS = 3,
    PANEL = PRODUCT_VECTORS * VN,
    PART = 384, /* a multiple of CPU_PRODUCT_STEP */
    AHEAD = 6,  /* rows of a panel fetched before their turn: the second-level cache is further away than a core looks ahead */
    FAR = 64    /* numbers of a row to pack, so too: weights come from memory */
};

static inline int64_t less_(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t vectors_(int64_t n, int64_t N)
{
    return less_(PANEL, cpu_product_line(N) - n) / VN;
} /* of the panel from column n on */

/* ---- a tile ----------------------------------------------------------------------------------------------------- */

typedef struct product_tile {
    float *c;
    const float *onto, *bias, *a, *b;
    int64_t ldc, row, step, K;
    const float *next; /* the panel after this one, from where this tile fetches `stride` bytes at each k */
    int64_t stride;
} product_tile;

/* R rows and V vectors are known where this is expanded, and all loops but that over k unrolled: `s` lives in registers. */
KERNEL inline __attribute__((always_inline)) void tile_(const int R, const int V, const product_tile *t)
{
    vec s[PRODUCT_ROWS][PRODUCT_VECTORS], w[PRODUCT_VECTORS];
    const float *a[PRODUCT_ROWS], *b = t->b;
    const char *next = (const char *)t->next;
    int64_t ldc = t->ldc, step = t->step, stride = t->stride, K = t->K;

#pragma GCC unroll 9
    for (int r = 0; r < R; r++)
        a[r] = t->a + r * t->row;
#pragma GCC unroll 27
    for (int i = 0; i < R * V; i++) {
        int r = i / V, v = i % V;
        __builtin_prefetch(t->c + r * ldc + v * VN, 1);
        s[r][v] = t->bias ? load(t->bias + v * VN) : splat(0.f);
    }
    if (t->onto)
#pragma GCC unroll 27
        for (int i = 0; i < R * V; i++)
            s[i / V][i % V] += load(t->onto + i / V * ldc + i % V * VN);
    for (int64_t k = 0, at = 0; k < K; k++, at += step, b += V * VN, next += stride) {
        __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) {
            w[v] = load(b + v * VN);
            __builtin_prefetch(b + (AHEAD * V + v) * VN);
        }
#pragma GCC unroll 9
        for (int r = 0; r < R; r++) {
            vec x = splat(a[r][at]);
#pragma GCC unroll 3
            for (int v = 0; v < V; v++)
                s[r][v] = fma_(x, w[v], s[r][v]);
        }
    }
#pragma GCC unroll 27
    for (int i = 0; i < R * V; i++)
        store(t->c + i / V * ldc + i % V * VN, s[i / V][i % V]);
}

/* clang-format off */
#define TILE(r, v) KERNEL void tile_##r##x##v(const product_tile *t) { tile_(r, v, t); }
#define TILES(r) TILE(r, 1) TILE(r, 2) TILE(r, 3)
#define NAMES(r) {tile_##r##x1, tile_##r##x2, tile_##r##x3}
TILES(1) TILES(2) TILES(3) TILES(4)
#if PRODUCT_ROWS > 4
TILES(5) TILES(6) TILES(7) TILES(8) TILES(9)
#endif

static void (*const tiles_[PRODUCT_ROWS][PRODUCT_VECTORS])(const product_tile *) = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4),
#if PRODUCT_ROWS > 4
    NAMES(5), NAMES(6), NAMES(7), NAMES(8), NAMES(9),
#endif
};
/* clang-format on */

/* A tile whose last vector passes the end of a row, by way of a copy. */
KERNEL void edge_tile_(const product_tile *t, int64_t rows, int64_t vectors, int64_t columns)
{
    float c[PRODUCT_ROWS * PANEL] = {0}, bias[PANEL] = {0};
    int64_t wide = vectors * VN;
    product_tile copy = *t;

    for (int64_t r = 0; t->onto && r < rows; r++)
        memcpy(c + r * wide, t->onto + r * t->ldc, (size_t)columns * sizeof *c);
    if (t->bias)
        memcpy(bias, t->bias, (size_t)columns * sizeof *c);
    copy.c = c, copy.ldc = wide, copy.onto = t->onto ? c : NULL, copy.bias = t->bias ? bias : NULL;
    tiles_[rows - 1][vectors - 1](&copy);
    for (int64_t r = 0; r < rows; r++)
        memcpy(t->c + r * t->ldc, c + r * wide, (size_t)columns * sizeof *c);
}

/* ---- a product -------------------------------------------------------------------------------------------------- */

/* All rows of one panel of one part. */
KERNEL void panel_(product_tile t, int64_t M, int64_t vectors, int64_t columns)
{
    int64_t tiles = (M + PRODUCT_ROWS - 1) / PRODUCT_ROWS, least = M / tiles, larger = M % tiles;

    t.next = t.b + t.K * vectors * VN;
    t.stride = (vectors * VN * (int64_t)sizeof(float) + tiles - 1) / tiles;
    for (int64_t i = 0; i < tiles; i++) {
        int64_t rows = least + (i < larger);
        if (columns == vectors * VN)
            tiles_[rows - 1][vectors - 1](&t);
        else
            edge_tile_(&t, rows, vectors, columns);
        t.a += rows * t.row, t.c += rows * t.ldc, t.onto += t.onto ? rows * t.ldc : 0;
        t.next = (const float *)((const char *)t.next + t.K * t.stride);
    }
}

KERNEL void multiply_(const cpu_product *p)
{
    int64_t part = cpu_product_part(&PRODUCTS, p->K), wide = cpu_product_line(p->N);
    for (int64_t begin = 0; begin < p->K; begin += part) {
        int64_t rows = less_(part, p->K - begin);
        for (int64_t n = 0; n < p->N; n += PANEL) {
            product_tile t = {.c = p->c + n, .ldc = p->ldc, .a = p->a + begin * p->step, .row = p->row, .step = p->step, .K = rows};
            const float *onto = begin ? p->c : p->onto;
            int64_t vectors = vectors_(n, p->N);
            t.onto = onto ? onto + n : NULL;
            t.bias = p->bias && !begin ? p->bias + n : NULL;
            t.b = p->b + begin * wide + n * rows;
            panel_(t, p->M, vectors, less_(vectors * VN, p->N - n));
        }
    }
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

/* Rows [begin, begin + rows) of one panel, from column n on, to `out`; zeros past the last column. */
KERNEL void pack_along_(float *out, const cpu_product_side *b, int64_t begin, int64_t rows, int64_t n, int64_t vectors)
{
    for (int64_t k = 0; k < rows; k++)
        for (int64_t v = 0; v < vectors; v++, out += VN) {
            int64_t at = n + v * VN;
            store(out, at < b->N ? load_some(b->b + (begin + k) * b->row + at, b->N - at) : splat(0.f));
        }
}

KERNEL void pack_across_(float *out, const cpu_product_side *b, int64_t begin, int64_t rows, int64_t n, int64_t vectors)
{
    for (int64_t k = 0; k < rows; k += VN)
        for (int64_t v = 0; v < vectors; v++) {
            const float *from = b->b + begin + k + (n + v * VN) * b->column;
            int64_t columns = less_(VN, b->N - n - v * VN), kept = less_(VN, rows - k);
            float *to = out + (k * vectors + v) * VN;
            vec t[VN] = {{0}};
            for (int64_t j = 0; j < columns; j++)
                __builtin_prefetch(from + j * b->column + FAR);
            if (columns == VN && kept == VN)
#pragma GCC unroll 16
                for (int j = 0; j < VN; j++)
                    t[j] = load(from + j * b->column);
            else
                for (int64_t j = 0; j < columns; j++)
                    t[j] = load_some(from + j * b->column, kept);
            transpose_(t);
            for (int64_t j = 0; j < kept; j++)
                store(to + j * vectors * VN, t[j]);
        }
}

KERNEL void pack_(float *packed, const cpu_product_side *b, int64_t first, int64_t last)
{
    int64_t part = cpu_product_part(&PRODUCTS, b->K), wide = cpu_product_line(b->N);
    last = last < b->N ? last : wide;
    for (int64_t begin = 0; begin < b->K; begin += part) {
        int64_t rows = less_(part, b->K - begin);
        for (int64_t n = first; n < last; n += PANEL) {
            float *out = packed + begin * wide + n * rows;
            if (b->column == 1)
                pack_along_(out, b, begin, rows, n, vectors_(n, b->N));
            else
                pack_across_(out, b, begin, rows, n, vectors_(n, b->N));
        }
    }
}

const cpu_products PRODUCTS = {
    .name = KERNELS_NAME, .columns = PANEL, .rows = PART, .depth = 1, .halves = 2, .pack = pack_, .multiply = multiply_};
