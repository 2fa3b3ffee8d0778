extern "C" {
#include "analysis/nearest_graph.h"
#include "base/processor.h"
}
#include <algorithm>
#include <cmath>
#include <hnswlib/hnswlib.h>
#include <memory>
#include <new>
#include <vector>

namespace
{

// Links a row, and breadths of the search while a graph grows and when it is asked: recall above 0.99 on the latents of our tests.
const size_t links = 16, breadth_made = 64, breadth_asked = 40;

// A graph grows row by row, on one thread. So there are two, or four where rows are many: each holds every second or fourth row, they grow side by side, and
// all are asked. N alone says how many, so that the bits do not depend on the threads.
const int64_t few_rows = 500000;
int64_t graphs_for(int64_t N) { return N <= few_rows ? 2 : 4; }

// Sixteen lanes, whatever the processor's vectors are; at the end their halves are added until one is left, in the same order everywhere.
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

inline __attribute__((always_inline)) float squared_distance(const float *a, const float *b, size_t Z)
{
    lanes sums = {};
    size_t j = 0;
    float s;

    for (; j + 16 <= Z; j += 16) {
        lanes d = *reinterpret_cast<const lanes *>(a + j) - *reinterpret_cast<const lanes *>(b + j);
        sums += d * d;
    }
    const eight *halves = reinterpret_cast<const eight *>(&sums);
    eight sum = halves[0] + halves[1];
    const four *quarters = reinterpret_cast<const four *>(&sum);
    four last = quarters[0] + quarters[1];
    s = (last[0] + last[2]) + (last[1] + last[3]);
    for (; j < Z; j++)
        s += (a[j] - b[j]) * (a[j] - b[j]);
    return s;
}

float distance_plain(const void *a, const void *b, const void *Z)
{
    return squared_distance(static_cast<const float *>(a), static_cast<const float *>(b), *static_cast<const size_t *>(Z));
}

#ifdef __x86_64__
__attribute__((target("avx2"))) float distance_avx2(const void *a, const void *b, const void *Z)
{
    return squared_distance(static_cast<const float *>(a), static_cast<const float *>(b), *static_cast<const size_t *>(Z));
}

__attribute__((target("avx512f"))) float distance_avx512(const void *a, const void *b, const void *Z)
{
    return squared_distance(static_cast<const float *>(a), static_cast<const float *>(b), *static_cast<const size_t *>(Z));
}
#endif

class space : public hnswlib::SpaceInterface<float>
{
    size_t Z;

  public:
    explicit space(size_t width) : Z(width) {}
    size_t get_data_size() override { return Z * sizeof(float); }
    void *get_dist_func_param() override { return &Z; }
    hnswlib::DISTFUNC<float> get_dist_func() override
    {
#ifdef __x86_64__
        if (deco_processor_kind() >= DECO_AVX512)
            return distance_avx512;
        if (deco_processor_kind() >= DECO_AVX2)
            return distance_avx2;
#endif
        return distance_plain;
    }
};

struct search {
    std::vector<std::unique_ptr<hnswlib::HierarchicalNSW<float>>> graphs; // labels are places in the order
    const float *x;
    int64_t Z;
    deco_neighbours *out;
    deco_monitor *m;
};

enum { TILE = 256, SAID = 1024 };

// The k nearest of the row at `place`. Rows that the graph does not reach (many alike) are made up for by those next in the order.
void settle_row(const search &s, int64_t place, std::vector<std::pair<float, int32_t>> &found)
{
    deco_neighbours *out = s.out;
    int64_t self = out->order[place];
    float *distance = out->distance + self * out->k;
    int32_t *row = out->row + self * out->k;

    found.clear();
    for (const auto &graph : s.graphs)
        for (auto queue = graph->searchKnn(s.x + self * s.Z, (size_t)out->k); !queue.empty(); queue.pop()) {
            int32_t other = out->order[queue.top().second];
            if (other != self)
                found.push_back({queue.top().first, other});
        }
    for (int64_t step = 1; (int64_t)found.size() < out->k - 1; step++) {
        for (int64_t at : {place - step, place + step}) {
            if (at < 0 || at >= out->N)
                continue;
            int32_t other = out->order[at];
            size_t bytes = (size_t)s.Z;
            if (std::none_of(found.begin(), found.end(), [other](const auto &f) { return f.second == other; }))
                found.push_back({distance_plain(s.x + self * s.Z, s.x + (int64_t)other * s.Z, &bytes), other});
        }
    }
    std::sort(found.begin(), found.end());
    row[0] = (int32_t)self;
    distance[0] = 0;
    for (int i = 1; i < out->k; i++) {
        row[i] = found[(size_t)i - 1].second;
        distance[i] = std::sqrt(found[(size_t)i - 1].first);
    }
}

deco_status failed(const std::exception &e)
{
    return deco_fail(DECO_E_MEMORY, "the graph of nearest neighbours cannot be made (%s)", e.what());
}

deco_status search_tile(void *context, int64_t index, int)
{
    const search &s = *static_cast<const search *>(context);

    try {
        std::vector<std::pair<float, int32_t>> found;
        for (int64_t i = index * TILE; i < (index + 1) * TILE && i < s.out->N; i++)
            settle_row(s, i, found);
    } catch (const std::exception &e) {
        return failed(e);
    }
    return DECO_OK;
}

deco_status grow_graph(void *context, int64_t index, int)
{
    const search &s = *static_cast<const search *>(context);
    int64_t step = (int64_t)s.graphs.size(), rows = 0;

    try {
        for (int64_t i = index; i < s.out->N; i += step) {
            s.graphs[(size_t)index]->addPoint(s.x + s.out->order[i] * s.Z, (size_t)i);
            if (++rows % SAID)
                continue;
            deco_progress_add(s.m, SAID);
            if (deco_monitor_stopped(s.m))
                return deco_fail(DECO_E_STOPPED, "stopped while nearest neighbours were looked for");
        }
    } catch (const std::exception &e) {
        return failed(e);
    }
    return DECO_OK;
}

} // namespace

deco_status deco_nearest_graph_search(deco_neighbours *out, const float *x, int64_t Z, uint64_t seed, deco_pool *pool, deco_monitor *m)
{
    try {
        space euclidean((size_t)Z);
        search s = {{}, x, Z, out, m};
        int64_t graphs = graphs_for(out->N);

        for (int64_t g = 0; g < graphs; g++)
            s.graphs.push_back(std::make_unique<hnswlib::HierarchicalNSW<float>>(&euclidean, (size_t)((out->N - g + graphs - 1) / graphs),
                                                                                 links, breadth_made,
                                                                                 (size_t)((seed + (uint64_t)g) & 0x7fffffff)));
        deco_progress_begin(m, "nearest neighbours", out->N, "latents");
        deco_status st = deco_pool_run(pool, grow_graph, &s, graphs);
        deco_progress_end(m);
        for (const auto &graph : s.graphs)
            graph->setEf(breadth_asked);
        return st ? st : deco_pool_run(pool, search_tile, &s, (out->N + TILE - 1) / TILE);
    } catch (const std::exception &e) {
        return failed(e);
    }
}
