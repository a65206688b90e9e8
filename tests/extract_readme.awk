# Prints the first block of C in README.md, so that it is compiled and run like the headers' examples.
/^```c$/ { inside = 1; next }
/^```$/ && inside { exit }
inside { print; lines++ }
END { if (!lines) exit 1 }
