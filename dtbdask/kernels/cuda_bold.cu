// The Balloon-Windkessel model in CUDA C: a thread follows a voxel of a member through all steps.
//
// Every number is that of `cpu_bold`, to the bit: the same operations in the same order.

__device__ __forceinline__ double exponential(double x) {
    x = (x > LOWEST ? x : LOWEST) * SCALE;
    double y = EXP[0];
#pragma unroll
    for (int k = 1; k < N_EXP; ++k) y = y * x + EXP[k];
#pragma unroll
    for (int k = 0; k < HALVINGS; ++k) y = y * y;
    return y;
}

struct Constants { double eps, per_s, per_f, per_0, drain, per_e, floor, dt; };

// `state` is s, f, v, q of (member, voxel); `frames` v and q at the end of each frame that ends in
// these steps; `count` (step, member, column) of populations, those of a voxel from `first` on.
extern "C" __global__ void balloon(
    double *state, double *frames, const int *count, const u32 *first, const int *population,
    const double *per, Constants c, u32 n_steps, i64 first_step, u32 frame_steps, u32 n_members,
    u32 n_voxels, u32 n_columns) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x, n = n_members * n_voxels;
    if (i >= n) return;
    const u32 member = i / n_voxels, voxel = i % n_voxels;
    double s = state[i], f = state[n + i], v = state[2 * n + i], q = state[3 * n + i];
    for (u32 step = 0; step < n_steps; ++step) {
        const int *of = count + ((u64)step * n_members + member) * n_columns;
        double u = 0;
        for (u32 k = first[voxel]; k < first[voxel + 1]; ++k) u += (double)of[population[k]];
        u /= per[voxel];
        u = u > c.floor ? u : c.floor;
        const double extracted = (1 - exponential(c.drain / f)) * c.per_e;
        const double square = v * v, inner = square * square;
        const double ds = c.eps * u - s * c.per_s - (f - 1) * c.per_f;
        const double dv = (f - inner * v) * c.per_0;
        const double dq = (f * extracted - q * inner) * c.per_0;
        f = f + c.dt * s;
        f = f > 0 ? f : 0;
        s = s + c.dt * ds;
        v = v + c.dt * dv;
        q = q + c.dt * dq;
        if ((first_step + step + 1) % frame_steps == 0) {
            frames[i] = v;
            frames[n + i] = q;
            frames += 2 * (u64)n;
        }
    }
    state[i] = s, state[n + i] = f, state[2 * n + i] = v, state[3 * n + i] = q;
}
