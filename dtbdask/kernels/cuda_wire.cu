// Wiring in CUDA C: in-edges from the recipe, or from a table, and their transpose to source order.
//
// A warp has a target. What it draws is what `cpu_wire` draws: in a round the lowest slot keeps a
// source that several drew, and nobody takes one that was kept before. The hash table of the
// sources of a target, and its slots, are in shared memory. A first pass counts the edges of each
// source (and the largest sums of weights), a second puts them into their rows; the order within a
// row is that of the threads, which no sum of integers can tell.

constexpr u32 ROUNDS = 32, ROUND_SHIFT = 24, NONE = 0xFFFFFFFFu;

struct Recipe {
    const i64 *first, *size;                                     // (population,)
    const int *degree;                                           // (population,)
    const u8 *excitatory;                                        // (population,)
    const i64 *terms; const int *source, *table;                 // (population_edge,), (term,)
    const u32 *threshold; const int *other;                      // (term,)
    const i64 *far; const int *far_population;                   // (table_edge,), (far,)
    const u32 *far_threshold; const int *far_other;              // (far,)
    u32 n_populations, widest, capacity, low, high, k0, k1;
};

// Where in-edges go: counts of rows, rows, or a table by target.
struct Out {
    u32 *cursor;        // (source,) counted, or the next free edge of each row of this tile
    u32 *target;        // (edge,) of this tile
    void *weight;       // (edge,) u8 or (edge, pair) u32
    u64 *most;          // (receptor,) largest sum of weights of one target
    u32 *source;        // (synapse,) table by target
    u8 *pair;           // (synapse, 2)
    i64 shift;          // global index of the first neuron of the tile, less than its range's
    const int *column;  // (2, 2) which of the pair goes where, see `cpu_rows.place`
};

enum { TALLY, PLACE, TABLE };

// One in-edge of the target `to` of a tile.
template <int MODE>
__device__ __forceinline__ void emit(
    const Out &out, u32 source, bool inhibitory, u32 w0, u32 w1, u32 to, u64 *sums) {
    if (MODE == TALLY) {
        atomicAdd(out.cursor + source, 1u);
        sums[0] += inhibitory ? 0 : w0;
        sums[1] += inhibitory ? 0 : w1;
        sums[2] += inhibitory ? w0 : 0;
        sums[3] += inhibitory ? w1 : 0;
    } else {
        const int *column = out.column + 2 * inhibitory;
        const u32 one = column[0] < 0 ? 0 : column[0] ? w1 : w0;
        const u32 two = column[1] < 0 ? 0 : column[1] ? w1 : w0;
        const u32 at = atomicAdd(out.cursor + source, 1u);
        if (PACKED) {
            out.target[at] = to << 8 | one;
            if (PAIRED) ((u8 *)out.weight)[at] = (u8)two;
        } else {
            out.target[at] = to;
            u32 *weight = (u32 *)out.weight + (u64)at * (1 + PAIRED);
            weight[0] = one;
            if (PAIRED) weight[1] = two;
        }
    }
}

__device__ __forceinline__ void keep_most(const Out &out, u64 *sums, u32 lane) {
#pragma unroll
    for (int u = 0; u < 4; ++u) {
        for (int far = 16; far; far /= 2) sums[u] += __shfl_down_sync(EVERY, sums[u], far);
        if (lane == 0 && sums[u] > *(volatile u64 *)(out.most + u))
            atomicMax(out.most + u, sums[u]);
    }
}

// Entry of an alias table of `count` columns from `first` on, chosen by one word.
__device__ __forceinline__ i64 column_of(
    u32 word, i64 first, i64 count, const u32 *threshold, const int *other) {
    const u64 scaled = (u64)word * (u64)count;
    const i64 column = first + (i64)(scaled >> 32);
    return (u32)scaled < threshold[column] ? column : first + other[column];
}

struct Warp {
    u32 *key, *owner;                   // (capacity,) hash table: source, round and slot
    u32 *source, *chosen, *at;          // (widest,) source, its population, its place in the table
    u16 *pair;                          // (widest,)
    u8 *kept;                           // (widest,) round in which it was kept
};

__device__ __forceinline__ Warp warp_memory(u32 *shared, u32 warp, u32 capacity, u32 widest) {
    const u32 words = 2 * capacity + 3 * widest + (3 * widest + 3) / 4;
    u32 *p = shared + warp * (words + words % 2);
    Warp w;
    w.key = p;
    w.owner = p + capacity;
    w.source = w.owner + capacity;
    w.chosen = w.source + widest;
    w.at = w.chosen + widest;
    w.pair = (u16 *)(w.at + widest);
    w.kept = (u8 *)(w.pair + widest);
    return w;
}

// Put a source into the table for a slot; the earliest round, then the lowest slot, owns it.
__device__ __forceinline__ u32 claim(const Warp &w, u32 source, u32 rank, u32 capacity) {
    u32 at = source * 0x9E3779B1u >> 7 & (capacity - 1);
    while (true) {
        const u32 found = atomicCAS(w.key + at, NONE, source);
        if (found == NONE || found == source) break;
        at = (at + 1) & (capacity - 1);
    }
    atomicMin(w.owner + at, rank);
    return at;
}

__device__ __forceinline__ bool holds(const Warp &w, u32 source, u32 capacity) {
    u32 at = source * 0x9E3779B1u >> 7 & (capacity - 1);
    while (w.key[at] != NONE) {
        if (w.key[at] == source) return true;
        at = (at + 1) & (capacity - 1);
    }
    return false;
}

// Whether every neuron of a population was kept before this round.
__device__ bool used_up(const Warp &w, const Recipe &r, u32 d, u32 population, u32 own) {
    i64 n = 0;
    for (u32 k = 0; k < d; ++k) n += w.chosen[k] == population && w.kept[k] < ROUNDS;
    return n >= r.size[population] - (population == own);
}

// Next neuron, cyclically in its population, not yet kept; NONE if there is none.
__device__ u32 next_in(const Warp &w, const Recipe &r, i64 at, u32 population, i64 target) {
    for (i64 tries = 0; tries < r.size[population]; ++tries) {
        at = (at + 1) % r.size[population];
        const u32 neuron = (u32)(r.first[population] + at);
        if ((i64)neuron != target && !holds(w, neuron, r.capacity)) return neuron;
    }
    return NONE;
}

// Next free neuron of its population, or of the first that has one among the own terms.
__device__ u32 next_free(
    const Warp &w, const Recipe &r, u32 neuron, u32 population, i64 target, u32 own, u32 &found) {
    found = population;
    u32 free = next_in(w, r, (i64)neuron - r.first[population], population, target);
    for (i64 term = r.terms[own]; term < r.terms[own + 1]; ++term) {
        const int table = r.table[term];
        const i64 low = table >= 0 ? r.far[table] : 0, high = table >= 0 ? r.far[table + 1] : 1;
        for (i64 entry = low; entry < high; ++entry) {
            if (free != NONE) return free;
            found = r.source[term] + (table >= 0 ? r.far_population[entry] : 0);
            free = next_in(w, r, -1, found, target);
        }
    }
    return free;
}

// Draw all slots of a target that have no source yet, in one round.
__device__ void draw(
    const Warp &w, const Recipe &r, i64 target, u32 own, u32 d, u32 round, u32 lane) {
    const u32 span = r.high - r.low + 1;
    const i64 first_term = r.terms[own], n_terms = r.terms[own + 1] - first_term;
    for (u32 k = lane; k < d; k += WARP) {
        if (w.kept[k] < ROUNDS) continue;
        const Words x = philox(
            (u32)target, (u32)((u64)target >> 32), k + (round << ROUND_SHIFT), PURPOSE_WIRE, r.k0,
            r.k1);
        if (round == 0 || used_up(w, r, d, w.chosen[k], own)) {
            const i64 term = column_of(x.w[0], first_term, n_terms, r.threshold, r.other);
            int picked = r.source[term];
            const int table = r.table[term];
            if (table >= 0) {
                const i64 low = r.far[table];
                picked += r.far_population[column_of(
                    x.w[3], low, r.far[table + 1] - low, r.far_threshold, r.far_other)];
            }
            w.chosen[k] = (u32)picked;
        }
        const u32 population = w.chosen[k];
        const bool mine = population == own;
        i64 at = (i64)((u64)x.w[1] * (u64)(r.size[population] - mine) >> 32);
        at += r.first[population];
        w.source[k] = (u32)(at + (mine && at >= target));
        const u32 word = x.w[2];
        const u32 one = ((word & 255) << 8) + (word >> 16 & 255);
        const u32 two = (word & 0xFF00) + (word >> 24);
        w.pair[k] = (u16)(r.low + (one * span >> 16) | (r.low + (two * span >> 16)) << 8);
    }
}

template <int MODE>
__device__ void wire(const Recipe &r, const Out &out, i64 start, u32 n_targets, u64 first_edge) {
    extern __shared__ u32 shared[];
    const u32 lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    const Warp w = warp_memory(shared, threadIdx.x / WARP, r.capacity, r.widest);
    u32 own = 0;
    u32 t = blockIdx.x * n_warps + threadIdx.x / WARP;
    for (; t < n_targets; t += gridDim.x * n_warps) {
        const i64 target = start + t;
        u32 high = r.n_populations;  // the last population that begins at the target or before it
        for (u32 low = own = 0; low < high;) {
            const u32 middle = (low + high) / 2;
            if (r.first[middle] <= target) low = own = middle, low = middle + 1;
            else high = middle;
        }
        const u32 d = r.degree[own];
        for (u32 k = lane; k < r.capacity; k += WARP) w.key[k] = w.owner[k] = NONE;
        for (u32 k = lane; k < d; k += WARP) w.kept[k] = ROUNDS;
        __syncwarp();
        bool lost = true;
        for (u32 round = 0; round < ROUNDS && lost; ++round) {
            draw(w, r, target, own, d, round, lane);
            __syncwarp();
            for (u32 k = lane; k < d; k += WARP)
                if (w.kept[k] == ROUNDS)
                    w.at[k] = claim(w, w.source[k], round << ROUND_SHIFT | k, r.capacity);
            __syncwarp();
            lost = false;
            for (u32 k = lane; k < d; k += WARP) {
                if (w.kept[k] < ROUNDS) continue;
                if (w.owner[w.at[k]] == (round << ROUND_SHIFT | k)) w.kept[k] = round;
                else lost = true;
            }
            lost = __any_sync(EVERY, lost);
        }
        if (lost && lane == 0) {
            for (u32 k = 0; k < d; ++k) {
                if (w.kept[k] < ROUNDS) continue;
                u32 found;
                w.source[k] = next_free(w, r, w.source[k], w.chosen[k], target, own, found);
                w.chosen[k] = found;
                claim(w, w.source[k], k, r.capacity);
            }
        }
        __syncwarp();
        u64 sums[4] = {0, 0, 0, 0};
        const u64 edge = first_edge + (u64)t * d;
        for (u32 k = lane; k < d; k += WARP) {
            const u32 w0 = w.pair[k] & 255, w1 = w.pair[k] >> 8;
            if (MODE == TABLE) {
                out.source[edge + k] = w.source[k];
                out.pair[2 * (edge + k)] = (u8)w0;
                out.pair[2 * (edge + k) + 1] = (u8)w1;
            } else {
                const bool inhibitory = !r.excitatory[w.chosen[k]];
                emit<MODE>(out, w.source[k], inhibitory, w0, w1, (u32)(target - out.shift), sums);
            }
        }
        if (MODE == TALLY) keep_most(out, sums, lane);
        __syncwarp();
    }
}

extern "C" __global__ void wire_tally(Recipe r, Out out, i64 start, u32 n_targets) {
    wire<TALLY>(r, out, start, n_targets, 0);
}
extern "C" __global__ void wire_place(Recipe r, Out out, i64 start, u32 n_targets) {
    wire<PLACE>(r, out, start, n_targets, 0);
}
// Targets of one population: they have the same in-degree.
extern "C" __global__ void wire_table(Recipe r, Out out, i64 start, u32 n_targets, u64 first_edge) {
    wire<TABLE>(r, out, start, n_targets, first_edge);
}

// In-edges that are given by target.
struct InEdges {
    const i64 *indptr;       // (target_edge,) from 0
    const u32 *source;       // (synapse,)
    const void *weight;      // (synapse, pair) u8 where PACKED, else u32
    const u8 *inhibitory;    // (neuron,) of the whole network
};

template <int MODE>
__device__ void given(const InEdges &g, const Out &out, i64 start, u32 n_targets) {
    const u32 lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    u32 t = blockIdx.x * n_warps + threadIdx.x / WARP;
    for (; t < n_targets; t += gridDim.x * n_warps) {
        u64 sums[4] = {0, 0, 0, 0};
        for (i64 e = g.indptr[t] + lane; e < g.indptr[t + 1]; e += WARP) {
            u32 w0, w1;
            if (PACKED) {
                w0 = ((const u8 *)g.weight)[2 * e];
                w1 = ((const u8 *)g.weight)[2 * e + 1];
            } else {
                w0 = ((const u32 *)g.weight)[2 * e];
                w1 = ((const u32 *)g.weight)[2 * e + 1];
            }
            const u32 source = g.source[e];
            const u32 to = (u32)(start + t - out.shift);
            emit<MODE>(out, source, g.inhibitory[source], w0, w1, to, sums);
        }
        if (MODE == TALLY) keep_most(out, sums, lane);
    }
}

extern "C" __global__ void given_tally(InEdges g, Out out, i64 start, u32 n_targets) {
    given<TALLY>(g, out, start, n_targets);
}
extern "C" __global__ void given_place(InEdges g, Out out, i64 start, u32 n_targets) {
    given<PLACE>(g, out, start, n_targets);
}
