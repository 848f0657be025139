//! Programs that check manifests.

use std::path::PathBuf;

use testbed::tools::GoTools;

/// kubeconform, and a Lua: that of Argo CD.
const CHECKERS: GoTools = GoTools {
    name: "manifest-checkers",
    build_time: "a few seconds",
    go_mod: include_str!("../../manifests/go.mod"),
    go_sum: include_str!("../../manifests/go.sum"),
    programs: &[("kubeconform", "kubeconform"), ("glua", "glua")],
    ..GoTools::DEFAULT
};

/// One of them.
pub(crate) fn checker(name: &str) -> PathBuf {
    CHECKERS.ready().expect("checkers").join(name)
}
