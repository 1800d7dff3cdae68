"""Fuzz one of the readers with Atheris, guided by the coverage of its Python code.

    python tests/fuzz/fuzz_readers.py dump -max_total_time=60 [DIRECTORY of inputs that stays]

Needs ``pip install atheris``; without it nothing is fuzzed, and a line says so.
"""

import inspect
import pathlib
import sys
import tempfile

try:
    import atheris
except ImportError:
    print("skipped: there is no atheris (pip install atheris)")
    raise SystemExit(0) from None

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from readers import READERS


def instrument():
    """Have the functions of kvpool count what runs; an editable install cannot be instrumented while it is imported."""
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] in {"kvpool", "readers"}]:
        for value in list(vars(module).values()):
            for function in [value, *(vars(value).values() if inspect.isclass(value) else [])]:
                plain = getattr(function, "__func__", function)  # of a class method
                if inspect.isfunction(plain) and plain.__module__.startswith("kvpool"):
                    atheris.instrument_func(plain)


def main():
    """Run libFuzzer with the options that follow the name of the reader."""
    name, *options = sys.argv[1:] or [""]
    if name not in READERS:
        raise SystemExit(f"usage: {sys.argv[0]} {{{','.join(READERS)}}} [options of libFuzzer] [directory]")
    with tempfile.TemporaryDirectory() as folder:
        reader = READERS[name](pathlib.Path(folder))
        seeds = pathlib.Path(folder, "seeds")
        seeds.mkdir()
        for number, seed in enumerate(reader.seeds):
            (seeds / str(number)).write_bytes(seed)
        instrument()
        atheris.Setup([sys.argv[0], *options, str(seeds)], lambda data: reader(data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
