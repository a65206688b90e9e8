#!/usr/bin/env python3
"""Compares tfm's ids with llama.cpp's on vocabularies in GGUF files, where no other original can read them.

    pip install llama-cpp-python
    TFM_LIBRARY=build/dev/libtfm.so PYTHONPATH=bindings/python/src python3 tests/compare_llama_cpp.py [-n TEXTS] FILE...

Each line is a file: how many texts have other ids as the original tokenizer gives them (llama.cpp deviates from some),
and how many with llama_cpp=True. Texts as in compare_hf.py. The exit status says whether the second is 0 everywhere.
"""
import argparse, sys
import compare_hf


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("-s", type=int, default=1)
    parser.add_argument("-d", type=int, default=2, help="differences shown for each file")
    given = parser.parse_args()
    import llama_cpp, tfm
    total = 0
    for path in given.files:
        try:
            theirs = llama_cpp.Llama(path, vocab_only=True, verbose=False)
            original, ours = tfm.Tokenizer.load(path), tfm.Tokenizer.load(path, llama_cpp=True)
        except (ValueError, tfm.TfmError) as why:
            print(f"{path}: not compared: {why}")
            continue
        deviations = differences = count = 0
        for text in compare_hf.texts(given.s, given.n):
            want = theirs.tokenize(text.encode(), add_bos=False, special=False)
            count += 1
            deviations += original.encode(text, add_special=False) != want
            got = ours.encode(text, add_special=False)
            if got != want:
                differences += 1
                if differences <= given.d:
                    print(f"  {text!r:.300}\n    tfm       {got!r:.300}\n    llama.cpp {want!r:.300}")
        total += differences
        print(f"{path}: {count} texts; llama.cpp deviates from the original on {deviations}; {differences} differences", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
