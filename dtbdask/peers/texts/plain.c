/* The same network in plain C, as fast as can be without exactness: what a machine can do.

   cc -O3 -march=native -ffast-math -fopenmp plain.c -o plain -lm
   plain FOLDER THREADS WARM_UP_STEPS STEPS < constants

   FOLDER holds indptr.bin (int64), target.bin (uint32), weight.bin (uint8, AMPA or GABA_A of each
   edge) and excitatory.bin (uint8), by source. Each thread owns a range of neurons and the edges
   that end there, 24 bits of target and 8 of weight in a word, and adds to 16-bit integers. Noise is
   xoshiro128+ in 16 lanes and Box-Muller by polynomials; it depends on the number of threads. */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LANES = 16, TILE = 1024, AHEAD = 4 };
typedef struct { uint32_t s[4][LANES]; } Random;

static void *room(size_t bytes) {
  void *memory;
  size_t page = 1 << 21, rounded = (bytes + page) / page * page;
  if (posix_memalign(&memory, page, rounded)) exit(9);
  madvise(memory, rounded, MADV_HUGEPAGE);
  return memset(memory, 0, rounded);
}

static void *load(const char *folder, const char *name, size_t *bytes) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.bin", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(1); }
  fseek(file, 0, SEEK_END);
  *bytes = ftell(file);
  rewind(file);
  void *memory = room(*bytes);
  if (fread(memory, 1, *bytes, file) != *bytes) exit(1);
  fclose(file);
  return memory;
}

static void seed(Random *random, uint64_t x) {
  for (int k = 0; k < 4 * LANES; k++) {
    uint64_t z = (x += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    random->s[k / LANES][k % LANES] = (uint32_t)(z >> 32);
  }
}

static void normals(Random *random, float *restrict z) {
  static _Thread_local uint32_t word[2][TILE / 2];
  Random r = *random;
  for (int half = 0; half < 2; half++)
    for (int i = 0; i < TILE / 2; i += LANES)
      for (int j = 0; j < LANES; j++) {
        word[half][i + j] = r.s[0][j] + r.s[3][j];
        uint32_t t = r.s[1][j] << 9;
        r.s[2][j] ^= r.s[0][j]; r.s[3][j] ^= r.s[1][j];
        r.s[1][j] ^= r.s[2][j]; r.s[0][j] ^= r.s[3][j];
        r.s[2][j] ^= t;
        r.s[3][j] = r.s[3][j] << 11 | r.s[3][j] >> 21;
      }
  *random = r;
#pragma omp simd
  for (int i = 0; i < TILE / 2; i++) {
    union { float f; uint32_t u; } m = {.f = (float)(int)(word[0][i] >> 8) + 1.0f}, y;
    float e = (float)(int)(m.u >> 23) - 151.0f;
    y.u = (m.u & 0x7fffffu) | 0x3f800000u;
    float f = y.f - 1.0f;
    float log2u = e + f * (1.44268966f + f * (-0.72116216f + f * (0.47786839f + f * (-0.34734664f
        + f * (0.24120820f + f * (-0.13136756f + f * (0.04559908f - f * 0.00745973f)))))));
    float radius = sqrtf(fmaxf(-1.3862943611f * log2u, 0.0f));
    float t = (float)(int)word[1][i] * (3.14159265f / 4294967296.0f), s = t * t;
    float sn = t * (1 + s * (-1.6666667e-1f + s * (8.3333333e-3f + s * -1.9841270e-4f)));
    float cs = 1 + s * (-0.5f + s * (4.1666667e-2f + s * (-1.3888889e-3f + s * 2.4801587e-5f)));
    z[i] = radius * (cs * cs - sn * sn);
    z[TILE / 2 + i] = radius * (2 * sn * cs);
  }
}

int main(int count, char **given) {
  if (count != 5) return 2;
  const char *folder = given[1];
  int threads = atoi(given[2]), warm_up = atoi(given[3]), steps = atoi(given[4]);
  float h, g_l, v_l, v_th, v_reset, mean, rate, kick, g_e, g_i, e_e, e_i, d_e, d_i;
  if (scanf("%f%f%f%f%f%f%f%f%f%f%f%f%f%f", &h, &g_l, &v_l, &v_th, &v_reset, &mean, &rate, &kick,
            &g_e, &g_i, &e_e, &e_i, &d_e, &d_i) != 14) return 2;
  double began = omp_get_wtime();
  size_t bytes;
  uint8_t *weight = load(folder, "weight", &bytes), *excites = load(folder, "excitatory", &bytes);
  uint32_t *target = load(folder, "target", &bytes);
  int64_t *indptr = load(folder, "indptr", &bytes), n = bytes / 8 - 1, *low = room(8 * (threads + 1));
  for (int t = 1; t <= threads; t++) low[t] = t == threads ? n : n * t / threads / TILE * TILE;
  float *v = room(4 * n), *ou = room(4 * n), *j_e = room(4 * n), *j_i = room(4 * n);
  uint16_t *kicks[2] = {room(2 * n), room(2 * n)};
  uint8_t *resting = room(n);
  uint32_t *spikes = room(4 * n), *fired = room(4 * n);
  int64_t *n_fired = room(64 * threads);
  for (int64_t i = 0; i < n; i++) v[i] = (v_th + v_reset) / 2, ou[i] = mean;
  double built = 0, start = 0, stop = 0;
#pragma omp parallel num_threads(threads)
  {
    int me = omp_get_thread_num();
    int64_t first = low[me], last = low[me + 1], m = 0, *begin = room(8 * (n + 1));
    for (int64_t r = 0; r < n; begin[++r] = m)
      for (int64_t e = indptr[r]; e < indptr[r + 1]; e++) m += target[e] >= first && target[e] < last;
    uint32_t *edge = room(4 * m);
    m = 0;
    for (int64_t e = 0; e < indptr[n]; e++)
      if (target[e] >= first && target[e] < last) edge[m++] = (target[e] - first) << 8 | weight[e];
    Random random;
    seed(&random, 1000003 + me);
    float z[TILE];
    uint8_t fires[TILE];
    for (int step = 0; step < warm_up + steps; step++) {
#pragma omp barrier
#pragma omp master
      {
        if (step == 0) built = omp_get_wtime();
        if (step == warm_up) start = omp_get_wtime();
      }
      int64_t found = first;
      for (int64_t base = first; base < last; base += TILE) {
        int size = last - base < TILE ? last - base : TILE;
        float *restrict V = v + base, *restrict O = ou + base;
        float *restrict E = j_e + base, *restrict I = j_i + base;
        uint16_t *restrict kick_e = kicks[0] + base, *restrict kick_i = kicks[1] + base;
        uint8_t *restrict rest = resting + base;
        normals(&random, z);
#pragma omp simd
        for (int i = 0; i < size; i++) {
          float je = E[i] + (float)(int)kick_e[i] * (1 / 255.0f);
          float ji = I[i] + (float)(int)kick_i[i] * (1 / 255.0f);
          kick_e[i] = kick_i[i] = 0;
          float noise = O[i] + rate * (mean - O[i]) + kick * z[i], x = V[i];
          O[i] = noise;
          float y = x + h * (g_l * (v_l - x) + noise + g_e * (e_e - x) * je + g_i * (e_i - x) * ji);
          y = rest[i] ? v_reset : y;
          int over = y >= v_th;
          V[i] = over ? v_th : y;
          rest[i] = fires[i] = over;
          E[i] = je * d_e;
          I[i] = ji * d_i;
        }
        for (int i = 0; i < size; i++)
          if (fires[i]) fired[found++] = base + i, spikes[base + i] += step >= warm_up;
      }
      n_fired[8 * me] = found - first;
#pragma omp barrier
      for (int part = 0; part < threads; part++) {
        uint32_t *row = fired + low[part];
        for (int64_t k = 0; k < n_fired[8 * part]; k++) {
          if (k + AHEAD < n_fired[8 * part])
            for (int64_t e = begin[row[k + AHEAD]]; e < begin[row[k + AHEAD] + 1]; e += 16)
              __builtin_prefetch(edge + e);
          if (k + 2 * AHEAD < n_fired[8 * part]) __builtin_prefetch(begin + row[k + 2 * AHEAD]);
          uint16_t *restrict sums = kicks[!excites[row[k]]] + first;
          for (int64_t e = begin[row[k]]; e < begin[row[k] + 1]; e++) sums[edge[e] >> 8] += edge[e] & 255;
        }
      }
    }
#pragma omp barrier
#pragma omp master
    stop = omp_get_wtime();
  }
  double all[2] = {0}, of[2] = {0};
  for (int64_t i = 0; i < n; i++) all[excites[i]] += spikes[i], of[excites[i]]++;
  double biological = steps / 1000.0;
  long peak = 0;
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak);
  printf("{\"seconds_per_biological_second\": %.6f, \"build_seconds\": %.3f, \"rate_hz\": %.4f, "
         "\"rate_e_hz\": %.4f, \"rate_i_hz\": %.4f, \"peak_memory_bytes\": %ld, \"version\": \"%s\"}\n",
         (stop - start) / biological, built - began, (all[0] + all[1]) / n / biological,
         all[1] / of[1] / biological, all[0] / of[0] / biological, peak * 1024, __VERSION__);
}
