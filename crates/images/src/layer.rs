//! The one layer of an image: a tar archive of its files.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::Image;

/// A layer, plain and compressed: the image contains digests of both.
pub(crate) struct Layer {
    pub(crate) tar: Vec<u8>,
    pub(crate) gzip: Vec<u8>,
}

pub(crate) fn layer(image: &Image) -> Result<Layer> {
    let mut builder = Builder::new(Vec::new());
    for folder in folders(image)? {
        let header = header(EntryType::Directory, 0o755, 0);
        append(&mut builder, header, &format!("{folder}/"), &[])?;
    }
    for (path, file) in &image.files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let header = header(EntryType::Regular, mode, file.content.len() as u64);
        append(&mut builder, header, relative(path)?, &file.content)?;
    }
    let tar = builder.into_inner()?;
    // The header contains no name and no time.
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(&tar)?;
    let gzip = encoder.finish()?;
    Ok(Layer { tar, gzip })
}

fn append(builder: &mut Builder<Vec<u8>>, mut header: Header, path: &str, content: &[u8]) -> Result<()> {
    builder
        .append_data(&mut header, path, content)
        .with_context(|| format!("cannot add {path} to the layer"))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// All parent folders of the files, each before its content.
fn folders(image: &Image) -> Result<BTreeSet<String>> {
    let mut folders = BTreeSet::new();
    for path in image.files.keys() {
        let mut rest = relative(path)?;
        while let Some((folder, _)) = rest.rsplit_once('/') {
            folders.insert(folder.to_owned());
            rest = folder;
        }
    }
    Ok(folders)
}

fn relative(path: &str) -> Result<&str> {
    let rest = path
        .strip_prefix('/')
        .with_context(|| format!("{path:?} is not absolute"))?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    ensure!(rest.split('/').all(plain), "{path:?} is not a plain path");
    Ok(rest)
}
