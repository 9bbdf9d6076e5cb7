"""Compiles the text of Protobuf schemas with protoc, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from consumers.sources.schemas import RegisteredSchema, SchemaCompileError

MAIN_FILE = "salepulse-schema.proto"
_WITHIN_S = 20.0
_BUILT_IN = {
    "confluent/meta.proto": """syntax = "proto3";
package confluent;
import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
""",
    "confluent/type/decimal.proto": """syntax = "proto3";
package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
""",
}
"""Files that schemas import without a reference, as far as no package has them."""


async def describe(schema: RegisteredSchema) -> bytes:
    """A `FileDescriptorSet` of the schema and all that it imports. Raises SchemaCompileError."""
    with TemporaryDirectory(prefix="salepulse-schema-") as name:
        folder = Path(name)
        for file, text in {**_BUILT_IN, **schema.references, MAIN_FILE: schema.text}.items():
            _write(folder, file, text)
        described = folder / "described"
        argv = [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", *(f"-I{path}" for path in _include_folders())),
            *(f"--descriptor_set_out={described}", "--include_imports", MAIN_FILE),
        ]
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, errors = await asyncio.wait_for(process.communicate(), _WITHIN_S)
        except BaseException:
            process.kill()
            raise
        if process.returncode or not described.exists():
            reason = " ".join(errors.decode("utf-8", "replace").split())
            raise SchemaCompileError(f"its Protobuf is invalid: {reason}")
        return described.read_bytes()


def _write(folder: Path, file: str, text: str) -> None:
    """Write a file below the folder; its name comes from the registry."""
    parts = PurePosixPath(file)
    if parts.is_absolute() or ".." in parts.parts or "\0" in file or not parts.parts:
        raise SchemaCompileError(f"it has a reference with the invalid name {file!r}")
    path = folder / parts
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _include_folders() -> list[str]:
    """Folders of the files that every registry knows: `google/protobuf` and `google/type`."""
    found = [find_spec("grpc_tools"), find_spec("google.type")]
    tools, types = (list(spec.submodule_search_locations or ()) if spec else [] for spec in found)
    return [str(Path(tools[0]) / "_proto"), str(Path(types[0]).parents[1])]
