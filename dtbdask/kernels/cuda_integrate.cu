// One exchange step of the neurons in CUDA C: kicks, currents, membrane, threshold.
//
// The order of the float operations is that of `cpu_integrate`: change both in one commit.

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
    const int *only;         // (tile,)
};

// Coefficient of a neuron: that of its population, times its own factor if there are any.
template <int C>
__device__ __forceinline__ REAL at(const REAL *p, const REAL *factor, u32 n, u32 i) {
    if constexpr (SLOT[C] < 0) return __ldg(p + C);
    else return __ldg(p + C) * __ldg(factor + (u64)SLOT[C] * n + i);
}
#define AT(C) at<coefficient::C>(p, factor, n, i)

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

// List the neurons of a block of threads that fired, and count them by population; the lists of
// blocks follow as they come. A tile of one population is counted at once: single additions to
// the few counts of large populations would wait for each other.
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
    const int only = census.only[tile];
    if (only >= 0 && lane == 0) atomicAdd(spikes + only, (int)total);
#pragma unroll
    for (u32 q = 0; q < EACH; ++q) {
        if (ballot[q] >> lane & 1) {
            const u32 i = tile * TILE + q * WARP + lane;
            list[__popc(ballot[q] & ((1u << lane) - 1))] = i;
            if (only < 0) {
                const u32 run = run_of(census.stop, census.first[tile], i);
                atomicAdd(spikes + census.population[run], 1);
            }
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
                if (i < n) fires[q] |=
                    u < (float)at<coefficient::NOISE>(rows.of(i), c.factor, n, i);
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
