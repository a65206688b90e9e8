# Prints the program in a header's leading comment: the lines indented by five spaces behind " *" that follow the line
# beginning with "Example". Fails if there is none.
#   awk -f extract_example.awk include/tfm/model.h
/^ \*\// { exit }
/^ \* Example/ { wanted = 1; next }
wanted && /^ \*     / {
    inside = 1
    line = $0
    sub(/^ \*     /, "", line)
    for (; blank > 0; blank--) print ""
    print line
    if (line ~ /main\(/) found = 1
    next
}
wanted && inside && /^ \*$/ { blank++; next }
inside { wanted = 0; inside = 0 }
END {
    if (!found) {
        print "extract_example.awk: " FILENAME ": no example with a main function" > "/dev/stderr"
        exit 1
    }
}
