// Delivery in CUDA C: the rows of the sources that fired are added to the kicks of their targets.
//
// What a network has comes before this text as constants, see `dtbdask.kernels.cuda.Build`: what is
// off is compiled out.

struct Clock {
    i64 done;   // steps made since the window began
    i64 begin;  // index of the first step of the window
};

// Lists of the neurons that fired: those of step k of a window begin at base[k] of the log of the
// first member, and at 0 of the list of any other. Each piece of the window begins the log, or its
// second half, anew.
struct Fired {
    u32 *log, *others, *count;
    u64 *base, half;
    u32 n, members, piece;

    __device__ u64 next(i64 k) const {  // where the list that step k makes begins
        if (!LOGGED) return 0;
        return k % piece ? base[k] + count[k * members] : k / piece % 2 * half;
    }

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
        fired.base[k + 1] = fired.next(k);
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
            kick, g, d, row, tile, indptr[0] + LONG + thread, indptr[1], stride, m, n, members,
            step,
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
