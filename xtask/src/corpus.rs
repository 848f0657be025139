//! The kept corpus of a fuzz target: one archive, `fuzz/corpus/TARGET.tar.gz`, of small files.
//!
//! The same files give the same archive, byte for byte, so that a run that keeps nothing new changes nothing.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{Archive, Builder, Header};

/// Writes the files of a folder as an archive.
pub(crate) fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    ensure!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    // No time and no owner is written: they differ from run to run.
    let gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut tar = Builder::new(gzip);
    for path in paths {
        let name = path.file_name().context("a file has no name")?;
        let content = fs::read(&path)?;
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    let bytes = tar.into_inner()?.finish()?;
    fs::write(archive, bytes).with_context(|| format!("cannot write {}", archive.display()))
}

/// Makes the folder hold the files of an archive and nothing else; a new target has no archive yet.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    if !archive.exists() {
        return Ok(());
    }
    let bytes = fs::File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    Ok(Archive::new(GzDecoder::new(bytes)).unpack(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_is_the_same_after_unpacking_and_packing() {
        let kept = crate::cargo::root().join("fuzz/corpus/feed.tar.gz");
        let folder = crate::cargo::root().join(format!("target/corpus-test-{}", std::process::id()));
        unpack(&kept, &folder).unwrap();
        let again = folder.with_extension("tar.gz");
        pack(&folder, &again).unwrap();
        let same = fs::read(&again).unwrap() == fs::read(&kept).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(&again).unwrap();
        assert!(
            same,
            "`cargo xtask fuzz --keep` would change an archive without a new input"
        );
    }
}
