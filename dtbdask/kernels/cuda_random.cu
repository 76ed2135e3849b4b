// The random numbers of `dtbdask.rng` in CUDA C: the same bits.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

constexpr u32 WARP = 32, TILE = 128, EVERY = 0xFFFFFFFFu;
constexpr u32 PURPOSE_WIRE = 1, PURPOSE_BACKGROUND = 2, PURPOSE_NOISE = 3;

struct Words { u32 w[4]; };

// Philox4x32-10 of one counter.
__device__ __forceinline__ Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 p0 = (u64)c0 * 0xD2511F53u, p1 = (u64)c2 * 0xCD9E8D57u;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (u32)p1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
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
    const int bits = __float_as_int((float)((int)(first >> 8) + 1)) - 0x3F3504F3;
    const float y = __int_as_float((bits & 0x7FFFFF) + 0x3F3504F3) - 1.0f;
    float p = -0.10134056955575943f * y + 0.1623418927192688f;
    p = p * y + -0.17247013747692108f;
    p = p * y + 0.19898565113544464f;
    p = p * y + -0.24970071017742157f;
    p = p * y + 0.33335113525390625f;
    p = p * y + -0.5000036358833313f;
    p = p * y + 0.9999999403953552f;
    const float log_u = ((float)(bits >> 23) - 24.0f) * 0.6931471824645996f;
    const float radius = sqrtf(-2.0f * (log_u + y * p));
    const float t = (float)(int)second * 7.3145906e-10f;
    const float s = t * t;
    float sine = 2.6051661734527443e-06f * s + -0.00019809046352747828f;
    sine = sine * s + 0.008333050645887852f;
    sine = sine * s + -0.16666658222675323f;
    sine = t * (sine * s + 1.0f);
    float cosine = 2.315317397005856e-05f * s + -0.0013853666605427861f;
    cosine = cosine * s + 0.041663579642772675f;
    cosine = cosine * s + -0.4999990463256836f;
    cosine = cosine * s + 0.9999999403953552f;
    even = radius * (cosine * cosine - sine * sine);
    odd = radius * (2.0f * sine * cosine);
}
