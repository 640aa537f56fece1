"""Lays a component out as an OCI image that registries and `wkg` take:
`oci.py COMPONENT FOLDER`. The same component gives the same bytes.

After the WASM OCI artifact layout of the CNCF's working group: a configuration, and
the component as its only layer.
"""

import hashlib
import json
import pathlib
import re
import sys

component, folder = map(pathlib.Path, sys.argv[1:])
wit = pathlib.Path(__file__).parent.parent / "wit"
package, version = re.search(
    r"^package (\S+)@(\S+);", (wit / "page-store.wit").read_text(), re.MULTILINE).groups()
world = re.search(r"world pager-component {(.*?)}", (wit / "worlds.wit").read_text(), re.DOTALL)[1]


def named(direction: str) -> list[str]:
    names = re.findall(rf"^\s*{direction} ([\w-]+);", world, re.MULTILINE)
    return [f"{package}/{name}@{version}" for name in names]


def blob(content: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def text(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


layer = blob(component.read_bytes(), "application/wasm")
config = blob(text({
    # When it was made would make other bytes each time.
    "created": "1970-01-01T00:00:00Z",
    "author": "The Pagebox developers",
    "architecture": "wasm",
    "os": "wasip2",
    "layerDigests": [layer["digest"]],
    "component": {"exports": named("export"), "imports": named("import")},
}), "application/vnd.wasm.config.v0+json")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
manifest = blob(text({
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "config": config,
    "layers": [layer],
    "annotations": {
        "org.opencontainers.image.title": package,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.source": "https://github.com/pagebox/pagebox",
    },
}), MANIFEST)
manifest["annotations"] = {"org.opencontainers.image.ref.name": version}
(folder / "oci-layout").write_bytes(text({"imageLayoutVersion": "1.0.0"}))
(folder / "index.json").write_bytes(text({"schemaVersion": 2, "manifests": [manifest]}))
print(manifest["digest"])
