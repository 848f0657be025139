//! Container images without a container engine: one layer of a few files, written as an OCI archive that `docker load`,
//! `podman load`, `ctr images import`, `kind load image-archive`, `skopeo` and `crane` take. Development only.
//!
//! The same content gives the same bytes, and so the same digest: no time, no user and no order of this machine goes in.
//! Formats: <https://github.com/opencontainers/image-spec/blob/v1.1.1/spec.md>.

mod archive;
mod digest;
#[cfg(test)]
mod dockerfile;
mod layer;
mod limits;
pub mod programs;
mod shipped;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

pub use archive::Written;
pub use digest::digest;
pub use shipped::{PROGRAMS, VERSION, image, shipped};

/// The user that images run as: no name on any machine, and none that Kubernetes' `runAsNonRoot` refuses.
pub const NON_ROOT: u32 = 65532;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Image {
    /// Repository and tag, such as `arxiv-operator:0.1.0`.
    pub reference: String,
    /// Files by absolute path.
    pub files: BTreeMap<String, File>,
    /// What is run.
    pub entrypoint: Vec<String>,
    /// The user's number; a group of the same number goes with it.
    pub user: u32,
    /// `org.opencontainers.image.…` and whatever else is to be told.
    pub labels: BTreeMap<String, String>,
}

/// A file of an image.
#[derive(Clone, Debug)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether it is a program.
    pub executable: bool,
}

impl File {
    /// A program.
    pub fn program(content: Vec<u8>) -> Self {
        Self {
            content,
            executable: true,
        }
    }

    /// A file that is only read.
    pub fn data(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            executable: false,
        }
    }
}

impl Image {
    /// Writes the archive; a file of that name is replaced.
    pub fn write(&self, archive: &Path) -> Result<Written> {
        archive::write(self, archive)
    }
}
