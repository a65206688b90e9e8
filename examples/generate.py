#!/usr/bin/env python3
"""generate.py - the same as generate.c in Python.

pip install ./bindings/python
python3 generate.py model.gguf "Once upon a time"
"""

import sys

import tfm


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: generate.py MODEL PROMPT", file=sys.stderr)
        return 2
    try:
        with tfm.Model(sys.argv[1]) as model:
            for piece in model.generate(sys.argv[2]):
                print(piece, end="", flush=True)
            print()
    except tfm.TfmError as error:
        print(f"generate.py: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # Ctrl-C stops between two tokens
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
