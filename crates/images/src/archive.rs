//! An image as an OCI layout in a tar archive, with the additional `manifest.json` of `docker save`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::Image;
use crate::digest::digest;
use crate::layer::layer;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The creation time: a constant, which is also what tools show for an image without one.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Digest and sizes of a written image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// The image's digest, by which it can be pulled from a registry.
    pub digest: String,
    /// Size of the compressed layer, in bytes.
    pub compressed: u64,
    /// Size of the unpacked layer, in bytes.
    pub unpacked: u64,
}

pub(crate) fn write(image: &Image, archive: &Path) -> Result<Written> {
    let layer = layer(image)?;
    let config = serde_json::to_vec(&config(image, &digest(&layer.tar)))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer.gzip)],
        "annotations": image.labels,
    }))?;
    let index = serde_json::to_vec(&index(image, &manifest))?;
    // Docker without containerd's image store reads this instead of the index.
    let docker_manifest = serde_json::to_vec(&json!([{
        "Config": blob_path(&digest(&config)),
        "RepoTags": [image.reference],
        "Layers": [blob_path(&digest(&layer.gzip))],
    }]))?;

    let mut tar = Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        Ok(tar.append_data(&mut header, name, content)?)
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json", &index)?;
    add("manifest.json", &docker_manifest)?;
    for blob in [&manifest, &config, &layer.gzip] {
        add(&blob_path(&digest(blob)), blob)?;
    }
    let bytes = tar.into_inner()?;
    fs::write(archive, bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    Ok(Written {
        digest: digest(&manifest),
        compressed: layer.gzip.len() as u64,
        unpacked: layer.tar.len() as u64,
    })
}

fn config(image: &Image, diff: &str) -> Value {
    json!({
        "created": EPOCH,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": format!("{0}:{0}", image.user),
            "Entrypoint": image.entrypoint,
            "WorkingDir": "/",
            "Labels": image.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [diff]},
        "history": [{"created": EPOCH, "created_by": "cargo xtask images"}],
    })
}

fn index(image: &Image, manifest: &[u8]) -> Value {
    let mut entry = descriptor(MANIFEST, manifest);
    entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
    // containerd needs the full name, other tools only the tag.
    let tag = image.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    entry["annotations"] = json!({
        "io.containerd.image.name": full_name(&image.reference),
        "org.opencontainers.image.ref.name": tag,
    });
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
}

/// The full name, as Kubernetes completes a name without a registry.
fn full_name(reference: &str) -> String {
    match reference.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => {
            reference.to_owned()
        }
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    }
}

fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(content), "size": content.len()})
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// This machine's architecture in Go's terms: images are built on the architecture that they are for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn full_name_has_registry_as_in_kubernetes() {
        for (reference, full) in [
            ("arxiv-operator:0.1.0", "docker.io/library/arxiv-operator:0.1.0"),
            ("somebody/arxiv:1", "docker.io/somebody/arxiv:1"),
            ("registry.example/arxiv:1", "registry.example/arxiv:1"),
            ("localhost/arxiv:1", "localhost/arxiv:1"),
            ("localhost:5000/arxiv:1", "localhost:5000/arxiv:1"),
        ] {
            assert_eq!(full_name(reference), full);
        }
    }
}
