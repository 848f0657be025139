//! TLS for a server.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::Result;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::Postgres;
use crate::wait;

/// The file's name in the folder of the data.
const CERTIFICATE: &str = "server.crt";
/// Until a server has read a new certificate, on a busy machine.
const READ_LIMIT: Duration = Duration::from_secs(20);

impl Postgres {
    /// Lets clients connect with TLS; returns the file of the certificate that they have to trust.
    pub async fn enable_tls(&self) -> Result<PathBuf> {
        self.write_certificate(&self.issue_certificate()?)?;
        self.execute("postgres", "alter system set ssl = on").await?;
        self.restart().await?;
        Ok(self.data.join(CERTIFICATE))
    }

    /// A certificate for a server, which clients have to trust as it is, and its key.
    pub fn issue_certificate(&self) -> Result<[String; 2]> {
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        Ok([pair.cert.pem(), pair.signing_key.serialize_pem()])
    }

    /// New connections get this certificate. Waits until they do: the server reads it some time after it was asked to.
    pub async fn use_certificate(&self, pair: &[String; 2]) -> Result<()> {
        self.write_certificate(pair)?;
        self.execute("postgres", "select pg_reload_conf()").await?;
        let options = PgConnectOptions::from_str(&self.admin_url("postgres"))?
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert_from_pem(pair[0].clone().into_bytes());
        wait::until("the new certificate", READ_LIMIT, async || {
            Ok(PgConnection::connect_with(&options).await.ok().map(drop))
        })
        .await
    }

    fn write_certificate(&self, [certificate, key]: &[String; 2]) -> Result<()> {
        let owner = fs::metadata(&self.data)?;
        // The server refuses a key that others may read.
        for (name, text) in [(CERTIFICATE, certificate), ("server.key", key)] {
            let file = self.data.join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            chown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    }
}
