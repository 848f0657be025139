//! Archives as other tools read them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use images::{File, Image, NON_ROOT};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tar::Archive;

fn image() -> Image {
    Image {
        reference: "thing:1.2.3".into(),
        files: BTreeMap::from([
            ("/thing".into(), File::program(b"\x7fELF".to_vec())),
            ("/etc/ssl/certs/ca.crt".into(), File::data("certificates")),
        ]),
        entrypoint: vec!["/thing".into()],
        user: NON_ROOT,
        labels: BTreeMap::from([("org.opencontainers.image.version".into(), "1.2.3".into())]),
    }
}

/// The files of a tar archive by name, with their modes.
fn entries(reader: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in Archive::new(reader).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = entry.path().unwrap().display().to_string();
        found.insert(name, (header.mode().unwrap(), content));
    }
    found
}

fn blob(files: &BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let content = &files[&format!("blobs/{}", digest.replace(':', "/"))].1;
    let hash: Vec<String> = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(format!("sha256:{}", hash.concat()), digest);
    assert_eq!(descriptor["size"], content.len());
    content.clone()
}

#[test]
fn archive_has_every_blob_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thing.tar");
    let written = image().write(&path).unwrap();

    let files = entries(fs::File::open(&path).unwrap());
    let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], written.digest);
    assert_eq!(
        entry["annotations"]["io.containerd.image.name"],
        "docker.io/library/thing:1.2.3"
    );
    let manifest: Value = serde_json::from_slice(&blob(&files, entry)).unwrap();
    let config: Value = serde_json::from_slice(&blob(&files, &manifest["config"])).unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/thing"]));

    // By the manifest that Docker reads.
    let loaded: Value = serde_json::from_slice(&files["manifest.json"].1).unwrap();
    assert_eq!(loaded[0]["RepoTags"], serde_json::json!(["thing:1.2.3"]));
    for (path, descriptor) in [
        (&loaded[0]["Config"], &manifest["config"]),
        (&loaded[0]["Layers"][0], &manifest["layers"][0]),
    ] {
        assert_eq!(files[path.as_str().unwrap()].1, blob(&files, descriptor));
    }

    let gzip = blob(&files, &manifest["layers"][0]);
    assert_eq!(gzip.len() as u64, written.compressed);
    let inside = entries(GzDecoder::new(gzip.as_slice()));
    let names: Vec<(&str, u32)> = inside
        .iter()
        .map(|(name, (mode, _))| (name.as_str(), *mode))
        .collect();
    let expected = [
        ("etc/", 0o755),
        ("etc/ssl/", 0o755),
        ("etc/ssl/certs/", 0o755),
        ("etc/ssl/certs/ca.crt", 0o644),
        ("thing", 0o755),
    ];
    assert_eq!(names, expected);
}

#[test]
fn archive_has_same_bytes_for_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, image: &Image| {
        let path = folder.path().join(name);
        image.write(&path).unwrap();
        fs::read(path).unwrap()
    };
    let first = bytes("first.tar", &image());
    assert_eq!(first, bytes("second.tar", &image()));
    let mut other = image();
    other.files.insert("/other".into(), File::data("x"));
    assert_ne!(first, bytes("other.tar", &other));
}

#[test]
fn unsafe_path_is_refused() {
    for path in ["relative", "/a/../b", "/a//b", "/"] {
        let mut image = image();
        image.files.insert(path.into(), File::data(""));
        assert!(image.write(Path::new("/dev/null")).is_err(), "{path}");
    }
}
