"""`headrace proto`: .proto files to Python, and messages in Python to .proto files."""

import importlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.errors import ENVIRONMENT, NO, USAGE, Failure, reported

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

app = typer.Typer(help=".proto files to Python, and messages in Python to .proto files.", no_args_is_help=True)
Files = Annotated[list[Path] | None, typer.Argument(metavar="FILE.proto …", help="By default all below this folder.")]
_LOOK = 0.3  # seconds


@app.command("compile")
def compile_files(
    files: Files = None,
    watch: Annotated[bool, typer.Option("--watch", help="Compile again whenever a file changes.")] = False,
) -> None:
    """Compile .proto files to Python, beside each of them."""
    with reported(False):
        seen: dict[Path, float] = {}
        while True:
            now = {path: path.stat().st_mtime for path in _files(files)}
            if changed := [path for path, moment in now.items() if seen.get(path) != moment]:
                _compile(changed)
            seen = now
            if not watch:
                return
            time.sleep(_LOOK)


def _files(files: list[Path] | None) -> list[Path]:
    found = files or [path for path in sorted(Path.cwd().rglob("*.proto")) if ".venv" not in path.parts]
    if not found:
        raise Failure(USAGE, f"there is no .proto file in {Path.cwd()}")
    if missing := [str(path) for path in found if not path.is_file()]:
        raise Failure(USAGE, f"there is no file {', '.join(missing)}")
    return [path.resolve() for path in found]


def _compile(files: list[Path]) -> None:
    for path in files:
        arguments = [
            f"--proto_path={path.parent}",
            f"--python_out={path.parent}",
            f"--pyi_out={path.parent}",
            path.name,
        ]
        if _protoc(*arguments) != 0:
            raise Failure(NO, f"{path.name} cannot be compiled; what is wrong stands above")
        typer.echo(f"{path.name}: {path.stem}_pb2.py, {path.stem}_pb2.pyi")


def _protoc(*arguments: str) -> int:
    try:
        from grpc_tools import protoc
    except ModuleNotFoundError:
        raise Failure(ENVIRONMENT, "compiling .proto files needs grpcio-tools: pip install grpcio-tools") from None
    include = Path(protoc.__file__).parent / "_proto"
    code: int = protoc.main(["protoc", f"--proto_path={include}", *arguments])
    return code


@app.command()
def export(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Module with messages, such as library.messages.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; by default to stdout.")] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Compare with a file that was exported before; write nothing."),
    ] = None,
) -> None:
    """Write the messages that a module declares in Python as a .proto file."""
    with reported(False):
        package, text = _exported(module)
        if check is not None:
            _check(check, text)
        elif out is not None:
            out.write_text(text)
            typer.echo(f"{out}: package {package}")
        else:
            typer.echo(text, nl=False)


def _exported(module: str) -> tuple[str, str]:
    from headrace.schemas.proto_text import proto_text

    messages = list(_messages(module))
    packages = {message.DESCRIPTOR.file.package for message in messages}
    if len(packages) != 1:
        named = ", ".join(sorted(packages)) or "no messages"
        raise Failure(USAGE, f"{module} has {named}; a .proto file holds the messages of one package")
    try:
        return packages.pop(), proto_text(messages[0].DESCRIPTOR.file.package, messages)
    except ValueError as error:
        raise Failure(USAGE, str(error)) from None


def _messages(module: str) -> Iterator[Any]:
    from google.protobuf.message import Message

    from headrace.schemas.message import MessageError, check_complete

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Failure(USAGE, f"there is no module {error.name}; looked in {here} and sys.path") from None
    try:
        check_complete(module)
    except MessageError as error:
        raise Failure(USAGE, str(error)) from None
    for value in vars(found).values():
        if isinstance(value, type) and issubclass(value, Message) and value.__module__ == found.__name__:
            yield value


def _check(file: Path, text: str) -> None:
    from headrace.schemas.proto_text import changes

    with tempfile.TemporaryDirectory() as folder:
        now = Path(folder, "now.proto")
        now.write_text(text)
        found = changes(_descriptor(file.resolve()), _descriptor(now))
    if found:
        raise Failure(
            NO, f"{file.name} and the messages differ in what is on the logs for ever:\n  " + "\n  ".join(found)
        )
    typer.echo(f"{file.name}: no number has another meaning")


def _descriptor(file: Path) -> "FileDescriptorProto":
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    if not file.is_file():
        raise Failure(USAGE, f"there is no file {file}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "set")
        if _protoc(f"--proto_path={file.parent}", f"--descriptor_set_out={out}", file.name) != 0:
            raise Failure(USAGE, f"{file.name} cannot be compiled; what is wrong stands above")
        return FileDescriptorSet.FromString(out.read_bytes()).file[0]
