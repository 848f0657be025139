//! Container images without a container engine: one layer with a few files, written as an OCI archive that `docker load`,
//! `podman load`, `ctr images import`, `kind load image-archive`, `skopeo` and `crane` accept. For development only.
//!
//! The same content gives the same bytes, and so the same digest: the archive contains no time, user or file order of this
//! machine.
//!
//! The crates `ocidir` and `oci-spec` are no replacement: `ocidir` (0.8) depends on OpenSSL, which `deny.toml` forbids, and
//! writes a folder, so the tar archive, the entries for Docker and containerd, and the layer would still be written here.
//! `oci-spec` would replace three JSON literals by longer builders.
//!
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

/// The user that images run as: it exists on no machine, and Kubernetes' `runAsNonRoot` accepts it.
pub const NON_ROOT: u32 = 65532;

/// The content and settings of an image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Repository and tag, such as `arxiv-operator:0.1.0`.
    pub reference: String,
    /// Files by absolute path.
    pub files: BTreeMap<String, File>,
    /// The command.
    pub entrypoint: Vec<String>,
    /// The user's number, which is also the group's.
    pub user: u32,
    /// Labels, such as `org.opencontainers.image.…`.
    pub labels: BTreeMap<String, String>,
}

/// A file of an image.
#[derive(Clone, Debug)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether it is executable.
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

    /// A file that is not executable.
    pub fn data(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            executable: false,
        }
    }
}

impl Image {
    /// Writes the archive, replacing an existing file.
    pub fn write(&self, archive: &Path) -> Result<Written> {
        archive::write(self, archive)
    }
}
