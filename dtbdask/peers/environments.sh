#!/bin/sh
# Makes an environment for each peer: environments.sh FOLDER [python]. What fails is left out.
set -u
folder=${1:?folder for the environments}
python=${2:-python3}
mkdir -p "$folder"
for pair in "annarchy ANNarchy cmake" "brainevent brainevent brainstate numba" "brian2 brian2 numpy<2" "nest nest-simulator"; do
  set -- $pair
  name=$1
  shift
  "$python" -m venv "$folder/$name" && "$folder/$name/bin/pip" install -q "$@" \
    || { echo "no $name: could not be installed" >&2; rm -rf "${folder:?}/$name"; }
done
