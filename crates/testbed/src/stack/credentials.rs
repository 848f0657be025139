//! The files with the database addresses of a service: one for each setting, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use url::Url;

use crate::process::Spec;
use crate::temp_dir::write_private;

/// A folder with a file for each setting, named after it.
#[derive(Debug)]
pub(super) struct CredentialFiles(PathBuf);

impl CredentialFiles {
    pub(super) fn of_service(name: &str, folder: &Path) -> Self {
        Self(folder.join("credentials").join(name))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Writes an address, and lets the setting name its file.
    pub(super) fn add(&self, spec: Spec, setting: &str, url: &str) -> Result<Spec> {
        fs::create_dir_all(&self.0)?;
        let file = self.0.join(setting);
        write_private(&file, url)?;
        Ok(spec.env(format!("{setting}_FILE"), file))
    }

    /// Replaces the password of a user in each address that names it. A file changes at once, as a swapped link does.
    pub(super) fn change_password(&self, user: &str, password: &str) -> Result<()> {
        let files = fs::read_dir(&self.0)
            .with_context(|| format!("no files in {} (`credential_files`)", self.0.display()))?;
        let files: Vec<PathBuf> = files
            .map(|file| Ok(file?.path()))
            .collect::<std::io::Result<_>>()?;
        for file in files {
            let mut url = Url::parse(fs::read_to_string(&file)?.trim_end())?;
            if url.username() == user && url.set_password(Some(password)).is_ok() {
                let next = self.0.with_extension("next");
                write_private(&next, url.as_str())?;
                fs::rename(next, &file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp_dir::TempDir;

    #[test]
    fn password_changes_in_the_addresses_of_its_user_alone() {
        let folder = TempDir::new("credential-files").unwrap();
        let files = CredentialFiles::of_service("operator-0", folder.path());
        assert!(
            files.change_password("one", "new").is_err(),
            "there are no files yet"
        );
        let mut spec = Spec::new("true", folder.path().join("log"));
        for (setting, user) in [("A_URL", "one"), ("B_URL", "two"), ("C_URL", "one")] {
            let url = format!("postgresql://{user}:old@127.0.0.1:5432/arxiv");
            spec = files.add(spec, setting, &url).unwrap();
        }
        files.change_password("one", "new").unwrap();
        let read = |setting: &str| fs::read_to_string(files.folder().join(setting)).unwrap();
        assert_eq!(read("A_URL"), "postgresql://one:new@127.0.0.1:5432/arxiv");
        assert_eq!(read("B_URL"), "postgresql://two:old@127.0.0.1:5432/arxiv");
        assert_eq!(read("C_URL"), read("A_URL"));
    }
}
