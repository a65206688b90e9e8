#!/bin/sh
# Fails if a file under src/ includes one of a higher layer, or of a neighbour: sh tests/test_layers.sh [SOURCE_DIR]
# First makes sure, on small trees of its own, that the check would notice.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$here/..}

check() { # in the current folder
    # shellcheck disable=SC2046
    awk -f "$here/test_layers.awk" $(find src -name '*.[ch]' -o -name '*.inc' | LC_ALL=C sort)
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p src/base src/formats src/kernels src/tokenizer src/model src/quant src/api

# expect PASS|FAIL FILE INCLUDE
expect() {
    rm -f src/*.c src/*/*.c
    printf '#include %s\n' "$3" >"src/$2"
    if check >/dev/null; then got=PASS; else got=FAIL; fi
    if [ "$got" != "$1" ]; then
        echo "the check itself is broken: src/$2 with #include $3 gave $got" >&2
        exit 1
    fi
}
expect PASS model/a.c '"kernels/kernels.h"'
expect PASS tokenizer/a.c '"formats/json.h"'
expect PASS generate.c '"forward.h"'
expect PASS base/a.c '"base.h"'
expect PASS base/a.c '<tfm/base.h>'
expect PASS formats/a.c '"jsmn.h"'
expect PASS formats/a.c '"../../third_party/jsmn/jsmn.h"'
expect FAIL model/a.c '"../../third_party/jsmn/jsmn.h"'
expect FAIL base/a.c '"model/model.h"'
expect FAIL kernels/a.c '"formats/formats.h"'
expect FAIL kernels/a.c '<formats/formats.h>'
expect FAIL formats/a.c '"tokenizer/tokenizer.h"'
expect FAIL tokenizer/a.c '"kernels/kernels.h"'
expect FAIL model/a.c '"forward.h"'
expect FAIL model/a.c '  "../api/api.h"'
expect FAIL model/a.c '"unheard/of.h"'
expect FAIL forward.c '"generate.h"'
expect FAIL forward.c '"sampler/sampler.h"'
expect PASS quant/a.c '"forward.h"'
expect PASS api/a.c '"quant/quant.h"'
expect FAIL model/a.c '"quant/quant.h"'
expect FAIL quant/a.c '"score.h"'
expect FAIL stray.c '"base/base.h"'

cd "$root"
check
