"""Generated protobuf code against its .proto files: `--write` makes it anew, without it differences fail."""

import argparse
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
# virtual path (so that imports read headrace.…) and the folder that holds the .proto files
FOLDERS = {
    "headrace/schemas": "schemas",
    "headrace/examples/poker": "examples/poker",
    "tests": "tests",
}


def generate(out: Path) -> dict[Path, bytes]:
    """Compile all .proto files into `out`; the result by its place in the tree."""
    paths = [f"--proto_path={virtual}={ROOT / folder}" for virtual, folder in FOLDERS.items()]
    sources = [
        f"{virtual}/{proto.relative_to(ROOT / folder)}"
        for virtual, folder in FOLDERS.items()
        for proto in sorted((ROOT / folder).rglob("*.proto"))
    ]
    arguments = ["protoc", *paths, f"--proto_path={WELL_KNOWN}", f"--python_out={out}", f"--pyi_out={out}"]
    if protoc.main([*arguments, *sources]) != 0:
        sys.exit("protoc refused a .proto file; its message stands above")
    return {
        ROOT / folder / made.relative_to(out / virtual): made.read_bytes()
        for virtual, folder in FOLDERS.items()
        for made in sorted((out / virtual).rglob("*_pb2.py*"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as out:
        wanted = generate(Path(out))
    stale = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    if write:
        for path in stale:
            path.write_bytes(wanted[path])
    for path in stale:
        print(f"{'written' if write else 'stale'}: {path.relative_to(ROOT)}")  # noqa: T201
    if stale and not write:
        sys.exit("generated code differs from its .proto file; run `make proto` and commit the result")


if __name__ == "__main__":
    main()
