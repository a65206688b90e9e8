# Reads source files whose paths begin with src/ (run it in the folder that holds src/) and prints each include that the
# order of layers does not allow. Exit status 1 if there is one.
#
# A file may include its own layer and those named behind it here. The public headers, tfm/..., are everyone's.
BEGIN {
    allowed["base"] = ""
    allowed["kernels"] = "base"
    allowed["formats"] = "base"
    allowed["tokenizer"] = "formats base"
    allowed["model"] = "tokenizer formats kernels base"
    allowed["blocks"] = "model tokenizer formats kernels base"
    allowed["forward"] = "blocks model tokenizer formats kernels base"
    allowed["sampler"] = "forward blocks model tokenizer formats kernels base"
    allowed["quant"] = "forward blocks model tokenizer formats kernels base"
    allowed["train"] = allowed["net"] = "sampler forward blocks model tokenizer formats kernels base"
    allowed["story"] = "train net quant sampler forward blocks model tokenizer formats kernels base"
    allowed["api"] = "story train net quant sampler forward blocks model tokenizer formats kernels base"
}

# The layer of a path under src/: its first folder, or, for the files directly in src/, by their name.
function layer_of(path, parts) {
    if (path ~ /\//) {
        split(path, parts, "/")
        return parts[1]
    }
    if (path ~ /^(forward|forward_many|encode|embedding)\./) return "forward"
    if (path ~ /^(generate|beam|score|stops|train_step)\./) return "story"
    return path
}

function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    bad++
}

FNR == 1 {
    file = FILENAME
    sub(/^(\.\/)?src\//, "", file)
    from = layer_of(file)
    if (!(from in allowed)) complain("a file of no layer: " from)
    files++
}

/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    path = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", path)
    quoted = substr(path, 1, 1) == "\""
    path = substr(path, 2)
    sub(/[">].*/, "", path)
    if (path ~ /^tfm\//) next
    if (path ~ /^\.\.\/\.\.\/third_party\// && from == "formats") next # its JSON scanner
    if (path ~ /(^|\/)\.\.?\//) {
        complain("includes \"" path "\": name files from src/ on")
        next
    }
    to = layer_of(path)
    if (quoted && path !~ /\// && file ~ /\// && !(to in allowed)) next # a file of its own folder
    if (!(to in allowed)) {
        if (quoted && path ~ /\//) complain("includes \"" path "\", which lies in no layer")
        next # the system's, or a third party's
    }
    if (to == from) next
    if (index(" " allowed[from] " ", " " to " ") == 0)
        complain("includes \"" path "\": " from " must not know " to)
}

END {
    if (files == 0) {
        print "no source files"
        exit 1
    }
    if (bad) exit 1
    printf "%d files, no include points upwards or sideways\n", files
}
