# Every exported function of the public headers has a comment in front that says since when it is there, and, if it can
# fail, which errors it gives or whose it shares. Functions that follow each other directly share a comment.
FNR == 1 { comment = ""; after_function = 0 }

/^\/\*/ { comment = ""; inside = 1; after_function = 0 }
inside { comment = comment " " $0; if (/\*\//) inside = 0; next }

/^TFM_API/ {
    functions++
    name = $0
    sub(/ *\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    if (comment == "") complain("has no comment in front")
    else if (comment !~ /Since [0-9]+\.[0-9]+\./) complain("does not say since when")
    if (/^TFM_API int32_t/) fallible = name; else fallible = ""
    declaration = ""
    after_function = 1
}
after_function == 1 {
    declaration = declaration $0
    if (/;/) {
        if (declaration ~ /tfm_error \*error\);/ && comment !~ /[Ee]rrors|The same|TFM_E_/)
            complain("can fail, but its comment names no errors")
        after_function = 2
    }
    next
}

# Anything else between comment and function takes the comment away.
/[^ ]/ && after_function != 2 { comment = "" }
/^$/ { if (after_function) { after_function = 0; comment = "" } }

function complain(text) {
    printf "%s:%d: %s %s\n", FILENAME, FNR, name, text
    bad++
}

END {
    if (!functions) { print "no functions found"; exit 1 }
    if (bad) exit 1
    printf "%d functions, each documented\n", functions
}
