# Reads the public headers and writes, for mode=...:
#   functions   one line per exported function: its prototype on one line
#   program     a C program that prints every constant, and size and offsets of every public struct
# It understands the way these headers are written (one declaration per statement, structs as
# `typedef struct NAME { ... } NAME;`), no more; a struct or function that it cannot read stops the test.
BEGIN { in_comment = 0; text = "" }

# Takes the comments out, joins lines.
{
    line = $0
    out = ""
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (!end) { line = ""; break }
            line = substr(line, end + 2)
            in_comment = 0
        } else {
            start = index(line, "/*")
            if (!start) { out = out line; break }
            out = out substr(line, 1, start - 1)
            line = substr(line, start + 2)
            in_comment = 1
        }
    }
    if (continued || out ~ /^[ \t]*#/) { # the preprocessor's, with its continuation lines
        if (!continued && out ~ /^#define TFM_[A-Z0-9_]+[ \t]+[^ \t]/) {
            split(out, word, /[ \t]+/)
            if (word[2] !~ /^TFM_(API$|VERSION_)/ && word[2] !~ /_INIT$/ && word[2] !~ /_H$/) constants[++constant_count] = word[2]
        }
        continued = out ~ /\\$/
        next
    }
    if (out ~ /^extern "C"/ || out ~ /^}$/) next
    text = text " " out
}

function squeeze(s) {
    gsub(/[ \t]+/, " ", s)
    sub(/^ /, "", s)
    sub(/ $/, "", s)
    return s
}

# The name that a member's declarator declares.
function member_name(s) {
    if (s ~ /\(\*[a-z_0-9]+\)/) { # a pointer to a function
        sub(/^[^*]*\(\*/, "", s)
        sub(/^.*\(\*/, "", s)
        sub(/\).*/, "", s)
        return s
    }
    sub(/\[.*/, "", s)
    s = squeeze(s)
    sub(/^.*[ *]/, "", s)
    return s
}

function read_struct(body, name, members, n, i, parts, m, j) {
    structs[++struct_count] = name
    gsub(/[{}]/, "", body)
    n = split(body, members, ";")
    for (i = 1; i <= n; i++) {
        members[i] = squeeze(members[i])
        if (members[i] == "") continue
        if (members[i] ~ /\(\*/) {
            sub(/\)[ ]*\(.*/, ")", members[i]) # its arguments
            field_names[name, ++field_count[name]] = member_name(members[i])
            continue
        }
        m = split(members[i], parts, ",")
        for (j = 1; j <= m; j++) field_names[name, ++field_count[name]] = member_name(parts[j])
    }
}

END {
    # Statements: up to a ';' at brace depth 0.
    depth = 0
    statement = ""
    length_of_text = length(text)
    for (i = 1; i <= length_of_text; i++) {
        c = substr(text, i, 1)
        statement = statement c
        if (c == "{") depth++
        if (c == "}") depth--
        if (c == ";" && depth == 0) {
            statement = squeeze(statement)
            if (statement ~ /^typedef struct [a-z_0-9]+ {/) {
                name = statement
                sub(/;$/, "", name)
                sub(/^.*} ?/, "", name)
                body = statement
                sub(/^[^{]*{/, "{", body)
                sub(/}[^}]*$/, "}", body)
                read_struct(body, name)
            } else if (statement ~ /^TFM_API /) {
                sub(/^TFM_API /, "", statement)
                functions[++function_count] = statement
            } else if (statement ~ /^typedef /) {
                typedefs[++typedef_count] = statement
            } else {
                print "describe.awk: cannot read: " statement > "/dev/stderr"
                exit 1
            }
            statement = ""
        }
    }
    if (mode == "functions") {
        for (i = 1; i <= typedef_count; i++) print typedefs[i]
        for (i = 1; i <= function_count; i++) print functions[i]
        exit 0
    }
    print "#include <tfm/tfm.h>\n#include <stdio.h>\n#include <stddef.h>\n\nint main(void) {"
    for (i = 1; i <= constant_count; i++)
        printf "    printf(\"%s %%lld\\n\", (long long)(%s));\n", constants[i], constants[i]
    for (i = 1; i <= struct_count; i++) {
        name = structs[i]
        printf "    printf(\"struct %s size %%zu\\n\", sizeof(%s));\n", name, name
        for (j = 1; j <= field_count[name]; j++)
            printf "    printf(\"    %s at %%zu size %%zu\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", \
                field_names[name, j], name, field_names[name, j], name, field_names[name, j]
    }
    print "    return 0;\n}"
}
