//! Flux's programs, built from Go modules, and its resource definitions, which are files of the same modules.

use std::path::PathBuf;

use anyhow::Result;
use testbed::tools::{GoFile, GoTools};

/// The two controllers, pinned in `controllers/go.mod`.
const CONTROLLERS: GoTools = GoTools {
    name: "flux",
    build_time: "about five minutes",
    go_mod: include_str!("../controllers/go.mod"),
    go_sum: include_str!("../controllers/go.sum"),
    programs: &[
        ("source-controller", "source-controller"),
        ("kustomize-controller", "kustomize-controller"),
    ],
    ..GoTools::DEFAULT
};

/// A file of source-controller's module.
const SOURCE: GoFile = GoFile {
    name: "flux-source-crd",
    module: "github.com/fluxcd/source-controller",
    version: "v1.9.6",
    sum: "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=",
    path: "",
};

/// A file of kustomize-controller's module.
const KUSTOMIZE: GoFile = GoFile {
    name: "flux-kustomize-crd",
    module: "github.com/fluxcd/kustomize-controller",
    version: "v1.9.6",
    sum: "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
    path: "",
};

/// The definitions: all of source-controller's, which watches each of them.
const DEFINITIONS: [(GoFile, &str); 7] = [
    (SOURCE, "config/crd/bases/source.toolkit.fluxcd.io_buckets.yaml"),
    (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_externalartifacts.yaml",
    ),
    (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
    ),
    (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_helmcharts.yaml",
    ),
    (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_helmrepositories.yaml",
    ),
    (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
    ),
    (
        KUSTOMIZE,
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
];

/// Paths of what Flux consists of.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    pub(crate) source_controller: PathBuf,
    pub(crate) kustomize_controller: PathBuf,
    pub(crate) definitions: Vec<PathBuf>,
}

impl Toolchain {
    /// Finds everything in the cache, or builds it: about five minutes on two cores, once.
    pub(crate) async fn ready() -> Result<Self> {
        tokio::task::spawn_blocking(|| {
            let folder = CONTROLLERS.ready()?;
            let definitions = DEFINITIONS.map(|(module, path)| GoFile { path, ..module }.ready());
            Ok(Self {
                source_controller: folder.join("source-controller"),
                kustomize_controller: folder.join("kustomize-controller"),
                definitions: definitions.into_iter().collect::<Result<_>>()?,
            })
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_of_the_version_that_is_built() {
        for (file, path) in DEFINITIONS {
            let required = format!("{} {}", file.module, file.version);
            assert!(CONTROLLERS.go_mod.contains(&required), "{path}: {required}");
        }
    }
}
