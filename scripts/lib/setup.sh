# shellcheck shell=bash
# Shared by the scripts: packages, configuration, build, tests.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jobs=$(nproc)

say() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# "package what": `what` is a command, a header where it ends in .h or .hpp, or python:NAME, a module
# of the system's own Python.
required_packages=(
  "cmake cmake"
  "g++ g++"
  "ninja-build ninja"
  "pkg-config pkg-config"
  "python3 python3"
  "libgtest-dev gtest/gtest.h"
  "libboost-context-dev boost/context/fiber.hpp"
  "libdlpack-dev dlpack/dlpack.h"
  "libcli11-dev CLI/CLI.hpp"
  "libfmt-dev fmt/format.h"
  "nlohmann-json3-dev nlohmann/json.hpp"
)

is_present() {
  case $1 in
    *.h | *.hpp) printf '#include <%s>\n' "$1" | g++ -E -x c++ - >/dev/null 2>&1 ;;
    python:*)
      /usr/bin/python3 -c "import importlib.util as u; exit(u.find_spec('${1#python:}') is None)" \
        2>/dev/null
      ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing_packages() {
  local entry
  for entry in "${required_packages[@]}"; do
    is_present "${entry#* }" || printf '%s\n' "${entry% *}"
  done
}

# Installs what is missing, by the names of Debian's packages.
install_missing_packages() {
  local missing=() prefix=()
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -gt 0 ] || return 0

  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && prefix=(sudo)
  fi
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && [ ${#prefix[@]} -eq 0 ]; }; then
    die "these Debian packages, or what your system calls them, must be installed: ${missing[*]}"
  fi
  say "Installing what is missing: ${missing[*]}"
  "${prefix[@]}" apt-get update -qq
  "${prefix[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || die "still missing after the installation: ${missing[*]}"
}

# As CMake looks for it.
has_nvcc() { [ -n "${CUDACXX:-}" ] || command -v nvcc >/dev/null; }
has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

default_preset() {
  if has_nvcc; then echo dev; else echo no-cuda; fi
}

# configure PRESET [ARGUMENTS OF CMAKE]: starts afresh where the arguments are other ones than last
# time, for what an earlier -D has set would stay otherwise.
configure() {
  local preset=$1
  local build_dir="$root/build/$preset"
  shift
  local arguments=("$@")
  if [ "$preset" = dev ] && has_nvcc; then
    # Where a GPU is present the tests shall run the code that is made for it.
    if [ -n "${CUDAARCHS:-}" ]; then
      arguments=("-DCMAKE_CUDA_ARCHITECTURES=$CUDAARCHS" "${arguments[@]}")
    elif has_gpu; then
      arguments=(-DCMAKE_CUDA_ARCHITECTURES=native "${arguments[@]}")
    fi
  fi
  if command -v ccache >/dev/null; then
    arguments=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache "${arguments[@]}")
  fi

  local record="$build_dir/configure_arguments"
  local fresh=()
  if [ ! -f "$record" ] || [ "$(cat "$record")" != "${arguments[*]}" ]; then
    fresh=(--fresh)
  fi
  say "Configuring build/$preset"
  (cd "$root" && cmake --preset "$preset" "${fresh[@]}" "${arguments[@]}") || return
  printf '%s\n' "${arguments[*]}" >"$record"
}

# build PRESET [TARGET]...
build() {
  local preset=$1
  shift
  say "Building build/$preset"
  cmake --build "$root/build/$preset" --parallel "$jobs" ${1:+--target "$@"}
}

# run_tests PRESET [ARGUMENTS OF CTEST]: fails where a test failed or none ran.
run_tests() {
  local preset=$1 status=0
  local build_dir="$root/build/$preset"
  local report="$build_dir/test_report.xml"
  shift
  say "Testing build/$preset"
  rm -f "$report"
  (cd "$root" && ctest --preset "$preset" --parallel "$jobs" --output-junit "$report" "$@") ||
    status=$?
  python3 "$root/scripts/lib/summarize_tests.py" "$build_dir" "$report" || status=1
  return "$status"
}
