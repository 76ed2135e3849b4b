#!/bin/sh
# Makes an environment for each peer: environments.sh FOLDER [python]. What fails is left out.
# GeNN is not on PyPI: pip builds its release, with a C++ compiler and the headers of libffi. With
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PyTorch comes without CUDA, far smaller.
set -u
genn=https://github.com/genn-team/genn/archive/refs/tags/5.4.0.zip
folder=${1:?folder for the environments}
python=${2:-python3}
mkdir -p "$folder"
for pair in "annarchy ANNarchy cmake" "brainevent brainevent brainstate numba" \
  "brian2 brian2 numpy<2" "genn numpy $genn" "nest nest-simulator" "torch torch scipy"; do
  set -- $pair
  name=$1
  shift
  "$python" -m venv "$folder/$name" && "$folder/$name/bin/pip" install -q "$@" \
    || { echo "no $name: could not be installed" >&2; rm -rf "${folder:?}/$name"; }
done
