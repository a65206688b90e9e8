#!/bin/sh
# Installs what tfm needs on Debian and its relatives, and only what is missing.
#
#   sh tools/install-deps.sh build          compiler, CMake, PCRE2: to build the library and the examples
#   sh tools/install-deps.sh build test     also cmocka, a C++ compiler and Python: to run every test
#   sh tools/install-deps.sh build fuzz     also clang with libFuzzer
#   sh tools/install-deps.sh build arm      also a compiler and an emulator for 64-bit ARM: tests/arm64.sh
#
# apt is called only when something is missing, through sudo when not root. Elsewhere it names what is missing.
set -eu

missing=""
want() { missing="$missing $1"; } # a Debian package

have() { command -v "$1" >/dev/null 2>&1; }

# have_header COMPILER HEADER
have_header() { echo "#include <$2>" | "$1" -E -x c - >/dev/null 2>&1; }

need_build() {
    have "${CC:-cc}" && have_header "${CC:-cc}" stdio.h || want build-essential
    have cmake || want cmake
    have ninja || want ninja-build
    have pkg-config || want pkg-config
    printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n' | "${CC:-cc}" -E -x c - >/dev/null 2>&1 ||
        want libpcre2-dev
}

need_test() {
    have_header "${CC:-cc}" stdio.h && have "${CXX:-c++}" || want build-essential
    printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <cmocka.h>\n' |
        "${CC:-cc}" -E -x c - >/dev/null 2>&1 || want libcmocka-dev
    have python3 || want python3
    have python3 && python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || want python3-venv
    have python3 && python3 -m pip --version >/dev/null 2>&1 || want python3-pip
}

need_fuzz() {
    if have clang && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1; then
        :
    else
        want clang
        want libclang-rt-14-dev
    fi
}

need_arm() {
    have aarch64-linux-gnu-gcc || want gcc-aarch64-linux-gnu
    have aarch64-linux-gnu-gcc && have_header aarch64-linux-gnu-gcc stdio.h || want libc6-dev-arm64-cross
    have qemu-aarch64 || want qemu-user
}

[ $# -gt 0 ] || set -- build
for part in "$@"; do
    case $part in
    build) need_build ;;
    test) need_test ;;
    fuzz) need_fuzz ;;
    arm) need_arm ;;
    *)
        echo "install-deps.sh: no such part: $part (build, test, fuzz, arm)" >&2
        exit 2
        ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! have apt-get; then
    echo "Please install what these Debian packages hold:$missing" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        echo "Please install, as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "Installing:$missing"
$as_root apt-get update -qq </dev/null
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
