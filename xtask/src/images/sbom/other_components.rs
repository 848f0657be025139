//! The components of an image that are not linked crates: glibc, Rust's standard library, libgcc, the third-party pages, and the
//! list of certificate authorities.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cargo;

/// The crate with Mozilla's list of certificate authorities. Only the list goes into images.
const AUTHORITIES: &str = "webpki-root-certs";
/// The package that serves the third-party pages.
const SERVES_PAGES: &str = "arxiv-api-server";
/// The script that pins their versions.
const PAGES: &str = "api-server/src/pages/vendor/update.sh";

/// The components of a package's image that are not linked crates. `packages`: all packages in Cargo.lock.
pub(super) fn components(package: &str, packages: &[Value]) -> Result<Vec<Value>> {
    let compiler = output("rustc", &["-vV"])?;
    let gcc = output("cc", &["-dumpfullversion"])?;
    let mut components = vec![
        rust_std(&compiler)?,
        glibc(&fs::read(output("cc", &["-print-file-name=libc.a"])?).context("libc.a")?)?,
        // It unwinds the stack.
        component(
            "library",
            ("libgcc", &gcc),
            &format!("pkg:generic/libgcc@{gcc}"),
            "GPL-3.0-or-later WITH GCC-exception-3.1",
        ),
        authorities(packages)?,
    ];
    if package == SERVES_PAGES {
        let versions = fs::read_to_string(cargo::root().join(PAGES)).context(PAGES)?;
        components.extend(pages(&versions)?);
    }
    Ok(components)
}

/// `compiler`: the output of `rustc -vV`.
fn rust_std(compiler: &str) -> Result<Value> {
    let mut lines = compiler.lines();
    let version = lines.find_map(|line| line.strip_prefix("release: "));
    let version = version.context("rustc names no release")?;
    let url = format!("pkg:generic/rust-std@{version}");
    Ok(component(
        "library",
        ("rust-std", version),
        &url,
        "MIT OR Apache-2.0",
    ))
}

/// By the banner in the archive, such as `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.`
fn glibc(archive: &[u8]) -> Result<Value> {
    const BANNER: &[u8] = b"GNU C Library (";
    let at = archive.windows(BANNER.len()).position(|part| part == BANNER);
    let banner = &archive[at.context("libc.a has no banner")? + BANNER.len()..];
    let line: Vec<u8> = banner
        .iter()
        .copied()
        .take_while(|byte| !byte.is_ascii_control())
        .collect();
    let line = String::from_utf8(line)?;
    let (maker, rest) = line.split_once(") ").context("libc.a's banner")?;
    let (version, url) = if let Some(version) = maker.strip_prefix("Debian GLIBC ") {
        let encoded = version.replace('+', "%2B");
        (version, format!("pkg:deb/debian/glibc@{encoded}?arch=source"))
    } else {
        let version = rest.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');
        (version, format!("pkg:generic/glibc@{version}"))
    };
    Ok(component(
        "library",
        ("glibc", version),
        &url,
        "LGPL-2.1-or-later",
    ))
}

fn authorities(packages: &[Value]) -> Result<Value> {
    let known = packages.iter().find(|one| one["name"] == AUTHORITIES);
    let known = known.with_context(|| format!("{AUTHORITIES} is not in the lock file"))?;
    let version = known["version"].as_str().unwrap_or_default();
    let mut component = super::component(AUTHORITIES, version, known);
    component["type"] = "data".into();
    Ok(component)
}

/// By the script that fetches them.
fn pages(script: &str) -> Result<Vec<Value>> {
    [
        ("swagger", "swagger-ui-dist", "Apache-2.0"),
        ("redoc", "redoc", "MIT"),
        ("katex", "katex", "MIT"),
    ]
    .into_iter()
    .map(|(variable, name, licence)| {
        let prefix = format!("{variable}=");
        let version = script.lines().find_map(|line| line.strip_prefix(&prefix));
        let version = version.with_context(|| format!("{PAGES} pins no version of {name}"))?;
        let url = format!("pkg:npm/{name}@{version}");
        Ok(component("library", (name, version), &url, licence))
    })
    .collect()
}

fn component(kind: &str, (name, version): (&str, &str), url: &str, licence: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
        "licenses": [{"expression": licence}],
    })
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .context(program.to_owned())?;
    ensure!(output.status.success(), "{program} {}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_named_by_their_banners() {
        let debian = b"\0\x7fELF\0GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopyright";
        let found = glibc(debian).unwrap();
        assert_eq!(
            (&found["version"], &found["purl"]),
            (
                &json!("2.36-9+deb12u14"),
                &json!("pkg:deb/debian/glibc@2.36-9%2Bdeb12u14?arch=source")
            )
        );
        let other = b"GNU C Library (GNU libc) stable release version 2.39.\n";
        assert_eq!(glibc(other).unwrap()["purl"], "pkg:generic/glibc@2.39");
        assert!(glibc(b"musl").is_err());
        let compiler = "rustc 1.95.0 (5980 2026-04-14)\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(rust_std(compiler).unwrap()["purl"], "pkg:generic/rust-std@1.95.0");
    }

    #[test]
    fn page_versions_equal_those_in_notice() {
        let script = fs::read_to_string(cargo::root().join(PAGES)).unwrap();
        let notice = fs::read_to_string(cargo::root().join("NOTICE")).unwrap();
        let found = pages(&script).unwrap();
        assert_eq!(found.len(), 3);
        for page in found {
            let named = format!(
                "package {} {}",
                page["name"].as_str().unwrap(),
                page["version"].as_str().unwrap()
            );
            assert!(notice.replace('\n', " ").contains(&named), "{named}");
        }
        assert!(pages("swagger=1").is_err());
    }
}
