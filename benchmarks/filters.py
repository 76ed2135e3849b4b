"""Ensemble filters beside published figures: `python benchmarks/filters.py`.

Twin experiments with Lorenz's models (tests/assim/lorenz.py): for each method the root mean square
error of the analysed mean, averaged over cycles and four seeds, beside that of DAPPER for the same
settings and the bound of the tests. Small matrices: run with OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "assim"))


def main() -> None:
    from lorenz import CASES, FULL, SEEDS, rmse

    print("| model, method, members | inflation | RMSE | of single seeds | DAPPER | bound |")
    print("|---|---|---|---|---|---|")
    start, kept = time.perf_counter(), True
    for case in CASES:
        errors = [rmse(case, seed, *FULL[case.model]) for seed in SEEDS]
        mean, (low, high) = float(np.mean(errors)), case.bounds
        kept = kept and low <= mean <= high
        bound = f"{low:.2f} to {high:.2f}" if low else f"{high:.3f}"
        print(
            f"| {case.name} | {case.inflation} | {mean:.3f} "
            f"| {min(errors):.3f} to {max(errors):.3f} | {case.published:.2f} | {bound} |",
            flush=True,
        )
    print(f"\n{time.perf_counter() - start:.0f} s; all within bounds: {'yes' if kept else 'NO'}")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
