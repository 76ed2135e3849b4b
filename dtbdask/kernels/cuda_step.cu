// One exchange step in CUDA C: rows of fired sources into kicks, currents, membrane, threshold.
//
// What a network has comes before this text as constants, see `dtbdask.kernels.cuda.Build`: what is
// off is compiled out. The order of the float operations is that of `cpu_integrate`: change both in
// one commit.

struct Clock {
    i64 done;   // steps made since the window began
    i64 begin;  // index of the first step of the window
};

// Lists of the neurons that fired: those of step k of a window begin at base[k] of the log of the
// first member, and at 0 of the list of any other.
struct Fired {
    u32 *log, *others, *count;
    u64 *base;
    u32 n, members;

    __device__ u32 *of(u32 m, i64 k) const {
        return m == 0 ? log + base[k] : others + (u64)(m - 1) * n;
    }
    __device__ u32 &n_of(u32 m, i64 k) const { return count[k * members + m]; }
};

struct Edges {
    const u32 *indptr;      // (tile, row_edge), from the first edge of the tile
    const u64 *first;       // (tile,) first edge
    const u32 *target;      // (edge,) neuron of the tile, times 2^8 plus a weight where PACKED
    const void *weight;     // (edge,) u8: second weights; (edge, pair) u32 where not PACKED
    const u8 *inhibitory;   // (row,)
    u32 n_rows, n_tiles, tile_size, longest;
};

struct Delays {
    const int *of;          // (row,) list of runs
    const i64 *first;       // (list_edge,)
    const u32 *stop;        // (run,) last target + 1
    const u16 *delay;       // (run,) steps
};

struct LongRows {
    u32 *row, *tile, *member, *count;
};

constexpr u32 LONG = 4096;  // edges of a row that one warp delivers; the grid shares what is beyond

__device__ __forceinline__ KICK *kicks(KICK *kick, int word, u32 m, u32 n, u32 members, i64 slot) {
    return kick + ((slot * N_WORDS + word) * members + m) * (u64)n;
}

// Delay of the edge of a row that ends on a neuron, steps.
__device__ __forceinline__ u32 delay_of(const Delays &d, u32 row, u32 neuron) {
    i64 low = d.first[d.of[row]], high = d.first[d.of[row] + 1];
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (d.stop[middle] <= neuron) low = middle + 1;
        else high = middle;
    }
    return d.delay[low];
}

constexpr u32 BATCH = 4;  // edges that a lane reads before it adds the first

// Add the edges `low`, `low + stride`, ... below `high` of a row in a tile.
__device__ __forceinline__ void add_edges(
    KICK *kick, const Edges &g, const Delays &d, u32 row, u32 tile, u32 low, u32 high, u32 stride,
    u32 m, u32 n, u32 members, i64 step, u32 n_slots) {
    const bool inhibits = g.inhibitory[row];
    const u32 shift = inhibits ? SHIFT[RECEPTOR[2] ? 2 : 3] : SHIFT[RECEPTOR[0] ? 0 : 1];
    const u32 shift_two = inhibits ? SHIFT[3] : SHIFT[1];
    const u32 *target = g.target + g.first[tile];
    KICK *sums = kicks(kick, inhibits ? WORD[2] : WORD[0], m, n, members, 0);
    sums += (u64)tile * g.tile_size;
    for (; low < high; low += BATCH * stride) {
        u32 word[BATCH];
#pragma unroll
        for (u32 b = 0; b < BATCH; ++b)
            if (low + b * stride < high) word[b] = __ldcs(target + low + b * stride);
#pragma unroll
        for (u32 b = 0; b < BATCH; ++b) {
            const u32 e = low + b * stride;
            if (e >= high) break;
            const u32 to = PACKED ? word[b] >> 8 : word[b];
            KICK *sum = sums + to;
            if (DELAYED) {
                const u32 delay = delay_of(d, row, tile * g.tile_size + to);
                sum += (step + delay - 1) % n_slots * N_WORDS * members * (u64)n;
            }
            KICK add;
            if (PACKED) {
                add = (KICK)(word[b] & 255) << shift;
                if (PAIRED) {
                    const u8 *second = (const u8 *)g.weight + g.first[tile];
                    add += (KICK)second[e] << shift_two;
                }
            } else {
                const u32 *weight = (const u32 *)g.weight + (g.first[tile] + e) * (1 + PAIRED);
                add = (KICK)weight[0] << shift;
                if (PAIRED) add += (KICK)weight[1] << shift_two;
            }
            atomicAdd(sum, add);
        }
    }
}

// Add the weights of the edges of every fired row to the kicks of their targets.
extern "C" __global__ void deliver(
    KICK *kick, Fired fired, Edges g, Delays d, LongRows rest, const Clock *clock, u32 j, u32 age,
    u32 n_slots, u32 n) {
    const i64 k = clock->done + j, step = clock->begin + k - age;
    const u32 m = blockIdx.y, lane = threadIdx.x % WARP;
    const u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    const u32 n_warps = gridDim.x * (blockDim.x / WARP);
    const u32 count = fired.n_of(m, k);
    const u32 *list = fired.of(m, k);
    if (m == 0 && blockIdx.x == 0 && threadIdx.x == 0) {
        fired.base[k + 1] = LOGGED ? fired.base[k] + count : 0;
    }
    const u64 items = (u64)count * g.n_tiles;
    for (u64 item = warp; item < items; item += n_warps) {
        const u32 tile = (u32)(item / count), row = list[item - (u64)tile * count];
        const u32 *indptr = g.indptr + (u64)tile * (g.n_rows + 1) + row;
        const u32 low = indptr[0], high = indptr[1];
        const u32 own = g.longest > LONG && high - low > LONG ? low + LONG : high;
        if (own < high && lane == 0) {
            const u32 at = atomicAdd(rest.count, 1u);
            rest.row[at] = row;
            rest.tile[at] = tile;
            rest.member[at] = m;
        }
        add_edges(kick, g, d, row, tile, low + lane, own, WARP, m, n, fired.members, step, n_slots);
    }
}

// The rest of the rows that are long in a tile: each is shared by the whole grid.
extern "C" __global__ void deliver_long(
    KICK *kick, Edges g, Delays d, LongRows rest, const Clock *clock, u32 j, u32 age, u32 n_slots,
    u32 n, u32 members) {
    const i64 step = clock->begin + clock->done + j - age;
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
    for (u32 k = 0; k < *rest.count; ++k) {
        const u32 row = rest.row[k], tile = rest.tile[k], m = rest.member[k];
        const u32 *indptr = g.indptr + (u64)tile * (g.n_rows + 1) + row;
        add_edges(
            kick, g, d, row, tile, indptr[0] + LONG + thread, indptr[1], stride, m, n, members, step,
            n_slots);
    }
}

// Shortest delay of the edges of each row from `start` on, a warp each.
extern "C" __global__ void soonest(u32 *least, Edges g, Delays d, u32 start) {
    const u32 lane = threadIdx.x % WARP;
    const u32 row = start + (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    if (row >= g.n_rows) return;
    u32 found = EVERY;
    for (u32 tile = 0; tile < g.n_tiles; ++tile) {
        const u32 *indptr = g.indptr + (u64)tile * (g.n_rows + 1) + row;
        for (u32 e = indptr[0] + lane; e < indptr[1]; e += WARP) {
            const u32 word = g.target[g.first[tile] + e];
            found = min(found, delay_of(d, row, tile * g.tile_size + (PACKED ? word >> 8 : word)));
        }
    }
    found = __reduce_min_sync(EVERY, found);
    if (lane == 0) least[row - start] = found;
}

struct State {
    REAL *v, *ou, *j[4], *h_t, *ca;  // (member, neuron)
    u16 *refractory;
    KICK *kick;                      // (slot, word, member, neuron)
};

struct Coefficients {
    const REAL *value;       // (member, population, coefficient)
    const REAL *factor;      // (slot, neuron)
    const u32 *stop;         // (run,) last neuron + 1 of each run of one population
    const int *population;   // (run,)
    const u32 *first;        // (tile,) run of the first neuron
    const int *only;         // (tile,) population of 128 neurons that are all of one, or -1
    u32 n_populations;
};

struct Census {
    int *spikes;             // (step, member, population + 1)
    const u32 *stop;         // (run,)
    const int *population;   // (run,)
    const u32 *first;        // (tile,)
};

constexpr u32 N_COEFFICIENTS = 34;
enum { H_OVER_C, G_L, V_L, V_TH, V_RESET, I_EXT, REFRACTORY, OU_MEAN, OU_RATE, OU_KICK, NOISE_P,
       G, V_U = 15, DECAY = 19, G_T = 23, E_T, V_H, H_DECAY, H_RATE, G_DA, E_DA, G_AHP, E_K,
       CA_DECAY, CA_KICK };

// Coefficient of a neuron: that of its population, times its own factor if there are any.
template <int C>
__device__ __forceinline__ REAL at(const REAL *p, const REAL *factor, u32 n, u32 i) {
    if constexpr (SLOT[C] < 0) return __ldg(p + C);
    else return __ldg(p + C) * __ldg(factor + (u64)SLOT[C] * n + i);
}
#define AT(C) at<C>(p, factor, n, i)

struct Neuron {
    REAL v, ou, j[4], h_t, ca;
    u32 left;
};

template <int U>
__device__ __forceinline__ void add_receptor(
    Neuron &x, REAL shown, REAL &current, const REAL *p, const REAL *factor, u32 n, u32 i) {
    if constexpr (RECEPTOR[U]) {
        current += AT(G + U) * (AT(V_U + U) - shown) * x.j[U];
        x.j[U] *= AT(DECAY + U);
    }
}

// Currents, membrane and threshold of one sub-step; true where the neuron fires.
__device__ __forceinline__ bool substep(
    Neuron &x, float z, const REAL *p, const REAL *factor, u32 n, u32 i) {
    const bool resting = x.left > 0;
    const u32 left = x.left - resting;
    const REAL reset = AT(V_RESET);
    const REAL before = resting ? reset : x.v;
    REAL current = AT(I_EXT);
    if (BACKGROUND) {
        REAL noise = x.ou + AT(OU_RATE) * (AT(OU_MEAN) - x.ou);
        noise = noise + AT(OU_KICK) * (REAL)z;
        x.ou = noise;
        current = current + noise;
    }
    add_receptor<0>(x, before, current, p, factor, n, i);
    add_receptor<1>(x, before, current, p, factor, n, i);
    add_receptor<2>(x, before, current, p, factor, n, i);
    add_receptor<3>(x, before, current, p, factor, n, i);
    if (CALCIUM) {
        const REAL flow = AT(G_T) * (AT(E_T) - before) * x.h_t;
        current += before >= AT(V_H) ? flow : (REAL)0;
    }
    if (DOPAMINE) current += AT(G_DA) * (AT(E_DA) - before);
    if (ADAPTATION) current += AT(G_AHP) * (AT(E_K) - before) * x.ca;
    const REAL leak = AT(G_L) * (AT(V_L) - before);
    REAL y = before + AT(H_OVER_C) * (leak + current);
    y = left > 0 ? reset : y;
    const REAL threshold = AT(V_TH);
    const bool fires = y >= threshold;
    const REAL shown = fires ? threshold : y;
    x.v = shown;
    x.left = fires ? (u32)(u16)AT(REFRACTORY) : left;
    if (CALCIUM) {
        const REAL fallen = x.h_t * AT(H_DECAY);
        const REAL risen = x.h_t + AT(H_RATE) * ((REAL)1 - x.h_t);
        x.h_t = shown >= AT(V_H) ? fallen : risen;
    }
    if (ADAPTATION) x.ca = x.ca * AT(CA_DECAY) + (fires ? AT(CA_KICK) : (REAL)0);
    return fires;
}

// Sum of one receptor in the words of a neuron.
template <int U>
__device__ __forceinline__ void add_kick(Neuron &x, const KICK *word, REAL scale) {
    if constexpr (RECEPTOR[U]) {
        const KICK mask = BITS[U] >= 8 * sizeof(KICK) ? ~(KICK)0 : ((KICK)1 << BITS[U]) - 1;
        x.j[U] += (REAL)(word[WORD[U]] >> SHIFT[U] & mask) * scale;
    }
}

// State is read past the first-level cache, which is left to the coefficients.
__device__ __forceinline__ Neuron load(const State &s, u64 at) {
    Neuron x;
    x.v = __ldcg(s.v + at);
    x.left = __ldcg(s.refractory + at);
    if (BACKGROUND) x.ou = __ldcg(s.ou + at);
#pragma unroll
    for (int u = 0; u < 4; ++u)
        if (RECEPTOR[u]) x.j[u] = __ldcg(s.j[u] + at);
    if (CALCIUM) x.h_t = __ldcg(s.h_t + at);
    if (ADAPTATION) x.ca = __ldcg(s.ca + at);
    return x;
}

__device__ __forceinline__ void store(const State &s, u64 at, const Neuron &x, u32 before) {
    s.v[at] = x.v;
    if (x.left != before) s.refractory[at] = (u16)x.left;
    if (BACKGROUND) s.ou[at] = x.ou;
#pragma unroll
    for (int u = 0; u < 4; ++u)
        if (RECEPTOR[u]) s.j[u][at] = x.j[u];
    if (CALCIUM) s.h_t[at] = x.h_t;
    if (ADAPTATION) s.ca[at] = x.ca;
}

// Run to which a neuron belongs, from the first run of its tile on.
__device__ __forceinline__ u32 run_of(const u32 *stop, u32 run, u32 i) {
    while (stop[run] <= i) ++run;
    return run;
}

constexpr u32 MOST_THREADS = 256;  // of a block that advances neurons
constexpr u32 EACH = 4;  // neurons of a lane: lane, 32 + lane, 64 + lane and 96 + lane of a tile

// List the neurons of a block of threads that fired; the lists of blocks follow as they come.
__device__ __forceinline__ void list_fired(
    const Fired &fired, const Census &census, u32 n_populations, const u32 *ballot, u32 tile, u32 m,
    i64 k) {
    __shared__ u32 found[WARP], place[WARP];
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 total = 0;
#pragma unroll
    for (u32 q = 0; q < EACH; ++q) total += __popc(ballot[q]);
    if (lane == 0) found[warp] = total;
    __syncthreads();
    if (warp == 0) {  // where the list of each warp begins
        const u32 mine = lane < blockDim.x / WARP ? found[lane] : 0;
        u32 end = mine;
#pragma unroll
        for (u32 far = 1; far < MOST_THREADS / WARP; far *= 2) {
            const u32 before = __shfl_up_sync(EVERY, end, far);
            if (lane >= far) end += before;
        }
        const u32 sum = __shfl_sync(EVERY, end, blockDim.x / WARP - 1);
        u32 begin = 0;
        if (lane == 0 && sum) begin = atomicAdd(&fired.n_of(m, k + 1), sum);
        place[lane] = __shfl_sync(EVERY, begin, 0) + end - mine;
    }
    __syncthreads();
    if (total == 0) return;
    u32 *list = fired.of(m, k + 1) + place[warp];
    int *spikes = census.spikes + (k * fired.members + m) * (n_populations + 1);
#pragma unroll
    for (u32 q = 0; q < EACH; ++q) {
        if (ballot[q] >> lane & 1) {
            const u32 i = tile * TILE + q * WARP + lane;
            list[__popc(ballot[q] & ((1u << lane) - 1))] = i;
            const u32 run = run_of(census.stop, census.first[tile], i);
            atomicAdd(spikes + census.population[run], 1);
        }
        list += __popc(ballot[q]);
    }
}

// Coefficients of the neurons of a tile.
struct Rows {
    const Coefficients &c;
    const REAL *values;
    u32 tile;

    __device__ const REAL *of_all() const { return values + c.only[tile] * N_COEFFICIENTS; }
    __device__ const REAL *of(u32 i) const {
        return values + c.population[run_of(c.stop, c.first[tile], i)] * N_COEFFICIENTS;
    }
};

// Advance all neurons by one exchange step: a warp has a tile of 128, a lane four of them.
extern "C" __global__ void __launch_bounds__(MOST_THREADS) integrate(
    State s, Coefficients c, Census census, Fired fired, const i64 *tile_of, const u32 *marked,
    const Clock *clock, u32 j, u32 t_steps, REAL scale, u32 first_member, u32 k0, u32 k1,
    u32 n_slots, u32 n) {
    const i64 k = clock->done + j, step = clock->begin + k;
    const u32 m = blockIdx.y, lane = threadIdx.x % WARP, member = first_member + m;
    const u32 tile = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    const u32 first = tile * TILE + lane;
    u32 ballot[EACH] = {0, 0, 0, 0};
    if ((u64)tile * TILE < n) {
        Neuron x[EACH];
        KICK word[EACH][N_WORDS];
        KICK *kick[N_WORDS];
        u32 before[EACH];
        bool fires[EACH] = {false, false, false, false};
        const u64 place = (u64)m * n + first;
#pragma unroll
        for (int w = 0; w < N_WORDS; ++w)
            kick[w] = kicks(s.kick, w, m, n, fired.members, DELAYED ? step % n_slots : 0) + first;
#pragma unroll
        for (u32 q = 0; q < EACH; ++q) {
            if (first + q * WARP >= n) continue;
            x[q] = load(s, place + q * WARP);
            before[q] = x[q].left;
#pragma unroll
            for (int w = 0; w < N_WORDS; ++w) word[q][w] = __ldcg(kick[w] + q * WARP);
        }
        const Rows rows = {c, c.value + (u64)m * c.n_populations * N_COEFFICIENTS, tile};
        const bool alike = c.only[tile] >= 0;
#pragma unroll
        for (u32 q = 0; q < EACH; ++q) {
            add_kick<0>(x[q], word[q], scale);
            add_kick<1>(x[q], word[q], scale);
            add_kick<2>(x[q], word[q], scale);
            add_kick<3>(x[q], word[q], scale);
        }
        for (u32 sub = 0; sub < t_steps; ++sub) {
            float z[EACH] = {0, 0, 0, 0};
            if (BACKGROUND) {
                const Words w = tile_words(
                    PURPOSE_BACKGROUND, tile_of[tile], lane, step * t_steps + sub, member, k0, k1);
                box_muller(w.w[0], w.w[1], z[0], z[1]);
                box_muller(w.w[2], w.w[3], z[2], z[3]);
            }
            if (alike) {  // the coefficients are read once for the four
                const REAL *p = rows.of_all();
#pragma unroll
                for (u32 q = 0; q < EACH; ++q)
                    fires[q] |= substep(x[q], z[q], p, c.factor, n, first + q * WARP);
            } else {
#pragma unroll
                for (u32 q = 0; q < EACH; ++q) {
                    const u32 i = first + q * WARP;
                    if (i < n) fires[q] |= substep(x[q], z[q], rows.of(i), c.factor, n, i);
                }
            }
        }
        if (NOISE) {
            const Words w = tile_words(PURPOSE_NOISE, tile_of[tile], lane, step, member, k0, k1);
#pragma unroll
            for (u32 q = 0; q < EACH; ++q) {
                const u32 i = first + q * WARP;
                const float u = (float)(int)(w.w[q] >> 8) * 5.9604644775390625e-08f;
                if (i < n) fires[q] |= u < (float)at<NOISE_P>(rows.of(i), c.factor, n, i);
            }
        }
#pragma unroll
        for (u32 q = 0; q < EACH; ++q) {
            const bool here = first + q * WARP < n;
            if (SCRIPTED) fires[q] |= marked[tile * EACH + q] >> lane & 1;
            ballot[q] = __ballot_sync(EVERY, here && fires[q] && t_steps);
            if (!here) continue;
            store(s, place + q * WARP, x[q], before[q]);
#pragma unroll
            for (int w = 0; w < N_WORDS; ++w)
                if (word[q][w]) kick[w][q * WARP] = 0;
        }
    }
    list_fired(fired, census, c.n_populations, ballot, tile, m, k);
}

// After `steps` steps.
extern "C" __global__ void tick(Clock *clock, u32 steps) { clock->done += steps; }

// Mark, as bits, the neurons with a scripted spike in a step.
extern "C" __global__ void mark(
    u32 *marked, const i64 *script_step, const u32 *script_neuron, i64 n_script, const Clock *clock,
    u32 j) {
    const i64 step = clock->begin + clock->done + j;
    i64 low = 0, high = n_script;
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (script_step[middle] < step) low = middle + 1;
        else high = middle;
    }
    i64 e = low + blockIdx.x * (i64)blockDim.x + threadIdx.x;
    for (; e < n_script && script_step[e] == step; e += (i64)gridDim.x * blockDim.x) {
        const u32 i = script_neuron[e];
        atomicOr(marked + i / WARP, 1u << i % WARP);
    }
}
