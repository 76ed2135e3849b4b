// The random numbers of `dtbdask.rng` in CUDA C: the same bits, from the same constants, which come
// before this text.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

constexpr u32 WARP = LANE, EVERY = 0xFFFFFFFFu;

struct Words { u32 w[4]; };

// Philox4x32-10 of one counter.
__device__ __forceinline__ Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < N_ROUNDS; ++round) {
        const u64 p0 = (u64)c0 * MULTIPLIER_0, p1 = (u64)c2 * MULTIPLIER_1;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (u32)p1;
        c3 = (u32)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    return {{c0, c1, c2, c3}};
}

// Words of the neurons lane, 32 + lane, 64 + lane and 96 + lane of a tile.
__device__ __forceinline__ Words tile_words(
    u32 purpose, i64 tile, u32 lane, i64 step, u32 member, u32 k0, u32 k1) {
    const u64 first = (u64)tile * WARP;
    return philox(
        (u32)first + lane, (u32)(first >> 32) | member << 16, (u32)step,
        purpose | (u32)((u64)step >> 32) << 8, k0, k1);
}

// Two standard normals of two words: the float32 operations of `rng.box_muller`, in their order.
__device__ __forceinline__ void box_muller(u32 first, u32 second, float &even, float &odd) {
    const int bits = __float_as_int((float)((int)(first >> 8) + 1)) - SQRT_HALF_BITS;
    const float y = __int_as_float((bits & 0x7FFFFF) + SQRT_HALF_BITS) - 1.0f;
    float p = LOG[7] * y + LOG[6];
    p = p * y + LOG[5];
    p = p * y + LOG[4];
    p = p * y + LOG[3];
    p = p * y + LOG[2];
    p = p * y + LOG[1];
    p = p * y + LOG[0];
    const float log_u = ((float)(bits >> 23) - 24.0f) * LN2;
    const float radius = sqrtf(-2.0f * (log_u + y * p));
    const float t = (float)(int)second * HALF_TURN;
    const float s = t * t;
    float sine = SIN[4] * s + SIN[3];
    sine = sine * s + SIN[2];
    sine = sine * s + SIN[1];
    sine = t * (sine * s + SIN[0]);
    float cosine = COS[4] * s + COS[3];
    cosine = cosine * s + COS[2];
    cosine = cosine * s + COS[1];
    cosine = cosine * s + COS[0];
    even = radius * (cosine * cosine - sine * sine);
    odd = radius * (2.0f * sine * cosine);
}
