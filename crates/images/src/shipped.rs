//! The project's own images.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pem::{EncodeConfig, LineEnding, Pem};

use crate::programs::{self, root};
use crate::{File, Image, NON_ROOT, limits};

/// The first path that TLS libraries try, on every distribution.
pub(crate) const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Package and program of each image. The image has the program's name.
pub const PROGRAMS: [(&str, &str); 2] = [
    ("arxiv-operator", "arxiv-operator"),
    ("arxiv-api-server", "arxiv-api-server"),
];

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the programs and returns their images, after a check of the promises: at most 20 MiB, static programs, a user that
/// is not root. Takes minutes on two cores.
pub fn shipped() -> Result<Vec<Image>> {
    let folder = programs::build(&PROGRAMS)?;
    let mut images = Vec::new();
    for (_, program) in PROGRAMS {
        let image = image(program, &folder)?;
        limits::check(&image)?;
        images.push(image);
    }
    Ok(images)
}

/// An image of one static program from `folder`.
pub fn image(program: &str, folder: &Path) -> Result<Image> {
    let path = folder.join(program);
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let entry = format!("/{program}");
    let label = |name: &str, text: &str| (format!("org.opencontainers.image.{name}"), text.to_owned());
    Ok(Image {
        reference: format!("{program}:{VERSION}"),
        files: BTreeMap::from([
            (entry.clone(), File::program(content)),
            (AUTHORITIES.to_owned(), File::data(authorities())),
            ("/etc/passwd".to_owned(), File::data(passwd())),
            ("/etc/group".to_owned(), File::data(group())),
            ("/licenses/LICENSE".to_owned(), File::data(text("LICENSE")?)),
            ("/licenses/NOTICE".to_owned(), File::data(text("NOTICE")?)),
        ]),
        entrypoint: vec![entry],
        user: NON_ROOT,
        labels: BTreeMap::from([
            label("title", program),
            label("version", VERSION),
            label("licenses", env!("CARGO_PKG_LICENSE")),
        ]),
    })
}

fn text(name: &str) -> Result<Vec<u8>> {
    fs::read(root().join(name)).with_context(|| name.to_owned())
}

/// Mozilla's list, as Cargo.lock pins it. The machine's own list would make images differ between machines.
fn authorities() -> String {
    let certificates: Vec<Pem> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|certificate| Pem::new("CERTIFICATE", certificate.to_vec()))
        .collect();
    pem::encode_many_config(&certificates, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// Some libraries look up the name of their user.
pub(crate) fn passwd() -> String {
    format!("nonroot:x:{NON_ROOT}:{NON_ROOT}:nonroot:/:/sbin/nologin\n")
}

pub(crate) fn group() -> String {
    format!("nonroot:x:{NON_ROOT}:\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_pem_list() {
        let text = authorities();
        assert!(text.matches("-----BEGIN CERTIFICATE-----").count() > 100);
        assert!(!text.contains('\r'));
        assert_eq!(
            pem::parse_many(text).unwrap().len(),
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
        );
    }
}
