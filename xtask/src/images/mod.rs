//! `cargo xtask images`: the container images, built without a container engine.

mod check;
mod sbom;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{cargo, output};

/// Writes the container images of the operator and the API server as OCI archives, each with its SBOM.
///
/// An image contains a static program, certificates and licences. It has no shell, and its user is not root. The same sources
/// and compiler give the same digests. `docker load -i`, `podman load -i`, `kind load image-archive`,
/// `ctr images import` and `skopeo copy oci-archive:…` accept the archives. The first build takes about ten minutes on two cores.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder for the archives.
    #[arg(long, value_name = "DIR", default_value = "target/images")]
    out: PathBuf,
    /// Build everything a second time, from a copy of the sources in another folder, and fail if any byte differs.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let out = cargo::root().join(&arguments.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    output::progress("== programs (static, release)");
    let images = images::shipped()?;
    output::progress("== archives and SBOMs");
    output::result("image                       pulled    on disk  digest");
    for (image, (package, program)) in images.iter().zip(images::PROGRAMS) {
        let version = images::VERSION;
        let written = image.write(&out.join(format!("{program}-{version}.oci.tar")))?;
        sbom::write(package, &out.join(format!("{program}-{version}.cdx.json")))?;
        output::result(&format!(
            "{:<24} {:>9} {:>9}  {}",
            image.reference,
            megabytes(written.compressed),
            megabytes(written.unpacked),
            written.digest
        ));
    }
    output::progress(&format!("in {}", out.display()));
    if arguments.check {
        check::rebuild_and_compare(&out)?;
    }
    Ok(())
}

/// In units of 2^20 bytes, with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::megabytes;

    #[test]
    fn megabytes_has_one_decimal() {
        for (bytes, text) in [(0, "0.0 MiB"), (1 << 20, "1.0 MiB"), (11_010_048, "10.5 MiB")] {
            assert_eq!(megabytes(bytes), text);
        }
    }
}
