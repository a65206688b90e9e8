#!/bin/sh
# Installs tfm into a folder of its own and uses it as a stranger would: with pkg-config, shared and static, with
# find_package, and with add_subdirectory. sh tests/test_install.sh SOURCE_DIR BUILD_DIR MODEL
set -eu
source=$(cd "${1:?}" && pwd)
build=$(cd "${2:?}" && pwd)
model=${3:-}
cc=${CC:-cc}
cmake=${CMAKE:-cmake}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved

# The prefix is moved after the installation: nothing may have remembered it.
"$cmake" --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
mv "$work/prefix" "$prefix"

cat >"$work/version.c" <<'END'
#include <tfm/tfm.h>
#include <stdio.h>

int main(void) {
    return printf("tfm %s\n", tfm_version()) < 0;
}
END
# With a model at hand, the example of generate.h; otherwise the version only.
if [ -n "$model" ] && [ -f "$model" ]; then
    awk -f "$source/tests/extract_example.awk" "$source/include/tfm/generate.h" >"$work/app.c"
else
    cp "$work/version.c" "$work/app.c"
    model=""
fi

# expect_output NAME COMMAND...
expect_output() {
    name=$1
    shift
    if ! "$@" >"$work/out" 2>&1 || [ ! -s "$work/out" ]; then
        echo "$name: failed: $*"
        cat "$work/out"
        exit 1
    fi
    # Every way of linking gives the same text.
    if [ -f "$work/first" ]; then
        cmp "$work/first" "$work/out" || { echo "$name: other output than before"; exit 1; }
    else
        cp "$work/out" "$work/first"
    fi
    echo "$name: fine"
}

pc=$(find "$prefix" -name tfm.pc)
libdir=$(dirname "$(dirname "$pc")")
if command -v pkg-config >/dev/null 2>&1; then
    PKG_CONFIG_PATH=$(dirname "$pc")
    export PKG_CONFIG_PATH
    [ "$(pkg-config --modversion tfm)" = "$(sed -n 's/^project.*VERSION \([0-9.]*\).*/\1/p; s/^CMAKE_PROJECT_VERSION:.*=//p' "$build/CMakeCache.txt")" ] ||
        { echo "tfm.pc has another version than the project"; exit 1; }

    # shellcheck disable=SC2046
    "$cc" "$work/app.c" -o "$work/shared" $(pkg-config --cflags --libs tfm)
    # shellcheck disable=SC2086
    expect_output "pkg-config, shared" env LD_LIBRARY_PATH="$libdir" "$work/shared" $model

    # shellcheck disable=SC2046
    "$cc" -static "$work/app.c" -o "$work/static" $(pkg-config --static --cflags --libs tfm)
    # shellcheck disable=SC2086
    expect_output "pkg-config, static" "$work/static" $model
else
    echo "SKIPPED: pkg-config is not here"
fi

mkdir "$work/package" "$work/subdirectory"
cp "$work/app.c" "$work/package/app.c"
version=$(sed -n 's/^#define TFM_VERSION_M[AI][JN]OR //p' "$source/include/tfm/base.h" | paste -sd.)
cat >"$work/package/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.21)
project(consumer LANGUAGES C)
find_package(tfm $version REQUIRED COMPONENTS shared static)
add_executable(app_shared app.c)
target_link_libraries(app_shared PRIVATE tfm::tfm)
add_executable(app_static app.c)
target_link_libraries(app_static PRIVATE tfm::tfm_static)
END
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
quietly "$cmake" -S "$work/package" -B "$work/package/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc"
quietly "$cmake" --build "$work/package/build"
# shellcheck disable=SC2086
expect_output "find_package, shared" "$work/package/build/app_shared" $model
# shellcheck disable=SC2086
expect_output "find_package, static" "$work/package/build/app_static" $model

# As a part of another project: no tests, no examples, and the host's settings stay as they were.
cp "$work/app.c" "$work/subdirectory/app.c"
cat >"$work/subdirectory/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.21)
project(host LANGUAGES C)
set(watched CMAKE_C_FLAGS CMAKE_C_STANDARD CMAKE_BUILD_TYPE CMAKE_C_VISIBILITY_PRESET CMAKE_MODULE_PATH
    CMAKE_POSITION_INDEPENDENT_CODE BUILD_SHARED_LIBS BUILD_TESTING)
foreach(name IN LISTS watched)
    set(before_\${name} "\${\${name}}")
endforeach()
add_subdirectory("$source" tfm EXCLUDE_FROM_ALL)
foreach(name IN LISTS watched)
    if(NOT "\${\${name}}" STREQUAL "\${before_\${name}}")
        message(FATAL_ERROR "tfm changed \${name}")
    endif()
endforeach()
foreach(property COMPILE_OPTIONS COMPILE_DEFINITIONS INCLUDE_DIRECTORIES LINK_OPTIONS)
    get_directory_property(value \${property})
    if(value)
        message(FATAL_ERROR "tfm leaks \${property}: \${value}")
    endif()
endforeach()
if(TFM_BUILD_TESTS OR TFM_BUILD_EXAMPLES OR TFM_INSTALL)
    message(FATAL_ERROR "tests, examples and installation must be off in another project")
endif()
add_executable(app_shared app.c)
target_link_libraries(app_shared PRIVATE tfm::tfm)
END
# Any build type gives the same text; without optimisation the build is quick.
quietly "$cmake" -S "$work/subdirectory" -B "$work/subdirectory/build" -DCMAKE_C_COMPILER="$cc"
quietly "$cmake" --build "$work/subdirectory/build" -j "$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"
# shellcheck disable=SC2086
expect_output "add_subdirectory" "$work/subdirectory/build/app_shared" $model
