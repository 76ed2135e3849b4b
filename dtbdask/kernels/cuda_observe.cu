// Looking at the state of member 0 in CUDA C: sums over runs of neurons, as whole numbers.
//
// A value is rounded once to a multiple of a power of two and integers are added, so the sums are
// those of `cpu_observe`, whatever the order.

constexpr double LIMIT = 16384.0, WHOLE = 6755399441055744.0;  // 2^14, and 1.5 * 2^52

__device__ __forceinline__ void add_total(
    i64 *total, u32 *spoilt, double x, bool good, double scale, u32 run, int row, u32 n_runs,
    u32 lane) {
    // lanes of one run add to its sum together
    if (row < 0) return;
    const i64 whole = (i64)((x * scale + WHOLE) - WHOLE);
    const u32 mask = __activemask();
    const u32 first = __shfl_sync(mask, run, __ffs(mask) - 1);
    if (mask == EVERY && __all_sync(mask, run == first && good)) {
        i64 sum = whole;
        for (int far = 16; far; far /= 2) sum += __shfl_down_sync(mask, sum, far);
        if (lane == 0) atomicAdd((u64 *)(total + (u64)row * n_runs + run), (u64)sum);
        return;
    }
    if (good) atomicAdd((u64 *)(total + (u64)row * n_runs + run), (u64)whole);
    else spoilt[(u64)row * n_runs + run] = 1;
}

template <int U>
__device__ __forceinline__ double receptor_current(
    const State &s, double x, const REAL *p, const REAL *factor, u32 n, u32 i) {
    if constexpr (RECEPTOR[U]) {
        const double g = (double)AT(G + U), e = (double)AT(V_U + U);
        return g * (e - x) * (double)s.j[U][i];
    }
    return 0.0;
}

struct Sums { int row[6]; };

extern "C" __global__ void totals(
    i64 *total, u32 *spoilt, Sums sums, double scale, State s, Coefficients c, const u32 *stop,
    const int *population, const u32 *first, u32 n_runs, u32 n) {
    const u32 lane = threadIdx.x % WARP;
    const u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    const u32 i = warp * WARP + lane;
    if (i >= n) return;
    const REAL *factor = c.factor;
    const u32 run = run_of(stop, first[i / TILE], i);
    if (population[run] >= (int)c.n_populations) return;
    const double x = (double)s.v[i];
    add_total(total, spoilt, x, fabs(x) < LIMIT, scale, run, sums.row[0], n_runs, lane);
    const REAL *p = c.value + (u64)population[run] * N_COEFFICIENTS;
    const double one[4] = {
        receptor_current<0>(s, x, p, factor, n, i), receptor_current<1>(s, x, p, factor, n, i),
        receptor_current<2>(s, x, p, factor, n, i), receptor_current<3>(s, x, p, factor, n, i)};
    const double all = ((one[0] + one[1]) + one[2]) + one[3];
    bool good = fabs(all) < LIMIT;
#pragma unroll
    for (int u = 0; u < 4; ++u) good = good && fabs(one[u]) < LIMIT;
    add_total(total, spoilt, all, good, scale, run, sums.row[1], n_runs, lane);
#pragma unroll
    for (int u = 0; u < 4; ++u)
        add_total(total, spoilt, one[u], good, scale, run, sums.row[2 + u], n_runs, lane);
}

// Count the spikes of chosen neurons in the last step: `place` is that of a neuron in the sample,
// plus 1.
extern "C" __global__ void strike(u16 *count, const u32 *place, Fired fired, const Clock *clock) {
    const u32 *list = fired.of(0, clock->done);
    u32 e = blockIdx.x * blockDim.x + threadIdx.x;
    for (; e < fired.n_of(0, clock->done); e += gridDim.x * blockDim.x) {
        const u32 at = place[list[e]];
        if (at) count[at - 1] += 1;  // a neuron is in the list once
    }
}
