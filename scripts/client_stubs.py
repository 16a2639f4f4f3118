"""A protoc plugin: the Python client's messages and gRPC stubs, moved from `metergate.v1` to `metergate_client.v1`.

The client distribution must install without the server, so its generated modules live in a package of their own.
protoc derives the package from the path of the .proto file; this plugin runs protoc and rewrites that one name.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

SERVER_PACKAGE = "metergate"
CLIENT_PACKAGE = "metergate_client"


def generate(request: plugin_pb2.CodeGeneratorRequest, folder: Path) -> None:
    """Run protoc's own generators on the request's files; raises RuntimeError when one fails."""
    descriptors = folder / "descriptors.binpb"
    descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    arguments = ["protoc", f"--descriptor_set_in={descriptors}", *outputs, *request.file_to_generate]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed; its message stands above")


def in_client_package(text: str) -> str:
    """Point the imports of one generated module at the client's package (wire names stay as they are)."""
    return text.replace(f"from {SERVER_PACKAGE}.v1 import ", f"from {CLIENT_PACKAGE}.v1 import ")


def main() -> None:
    """Read a CodeGeneratorRequest from stdin and write the CodeGeneratorResponse to stdout."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    features = plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    response = plugin_pb2.CodeGeneratorResponse(supported_features=features)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(request, folder)
        for path in sorted(folder.rglob("*.py*")):
            inner = path.relative_to(folder / SERVER_PACKAGE)
            # A file without services has nothing to call: its gRPC module would be an empty shell.
            if path.name.endswith("_pb2_grpc.py") and "Stub" not in path.read_text():
                continue
            response.file.add(name=f"{CLIENT_PACKAGE}/{inner.as_posix()}", content=in_client_package(path.read_text()))
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
