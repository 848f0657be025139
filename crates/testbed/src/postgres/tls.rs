//! TLS for a server.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
};

use anyhow::Result;

use super::Postgres;

impl Postgres {
    /// Lets clients connect with TLS; returns the file of the certificate that they have to trust.
    pub async fn enable_tls(&self) -> Result<PathBuf> {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let owner = fs::metadata(&self.data)?;
        let certificate = self.data.join("server.crt");
        // The server refuses a key that others may read.
        for (file, text) in [
            (certificate.clone(), key.cert.pem()),
            (self.data.join("server.key"), key.signing_key.serialize_pem()),
        ] {
            fs::write(&file, text)?;
            fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            chown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        self.execute("postgres", "alter system set ssl = on").await?;
        self.restart().await?;
        Ok(certificate)
    }
}
