# Reads `ctest --verbose` and shows what `ctest --output-on-failure` would, with one addition: before the summary, the
# test programs in which cases were skipped. Output of a test comes as lines "NUMBER: text".
BEGIN { in_summary = 0; programs = 0 }

in_summary { print; fflush(); next }

/^[0-9]+% tests passed/ {
    print ""
    for (i = 1; i <= programs; i++) {
        number = order[i]
        printf "skipped in %s:%s\n", (number in title) ? title[number] : "test " number, skipped[number]
    }
    print programs ? "" : "no test skipped a case\n"
    in_summary = 1
    print
    next
}

/^[0-9]+: / {
    number = $0
    sub(/:.*/, "", number)
    text = $0
    sub(/^[0-9]+: /, "", text)
    output[number] = output[number] text "\n"
    # cmocka names each skipped case once while running; "listed below" belongs to its own summary, which repeats them
    if (text ~ /^\[  SKIPPED \] / && text !~ /listed below/) {
        name = text
        sub(/^\[  SKIPPED \] */, "", name)
        if (!((number, name) in seen)) {
            seen[number, name] = 1
            if (!(number in skipped)) order[++programs] = number
            skipped[number] = skipped[number] " " name
        }
    }
    next
}

/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    number = $0
    sub(/^[^#]*#/, "", number)
    name = number
    sub(/:.*/, "", number)
    sub(/^[0-9]+: */, "", name)
    sub(/ .*/, "", name)
    title[number] = name
    print
    if ($0 !~ / Passed /) printf "%s", output[number]
    delete output[number]
    fflush()
    next
}

/^The following tests passed:/ { in_list = 1; next }
in_list && /^\t/ { next }

/^test [0-9]+$/ || /^ +Start +[0-9]+: / || /^$/ || /^(UpdateCTestConfiguration|Constructing|Done constructing|Updating|Checking test|Added [0-9]|Internal ctest)/ || / is up to date/ { next }

{ print; fflush() }
