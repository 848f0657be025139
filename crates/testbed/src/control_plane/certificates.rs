//! A certificate authority of our own, the API server's certificate, and the key that signs `ServiceAccount` tokens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::scratch::{create_passable, write_private};

/// The files, in one folder; tokens stay valid when the same folder is used again.
#[derive(Debug)]
pub(super) struct Certificates {
    ca: PathBuf,
    server: PathBuf,
    server_key: PathBuf,
    account_key: PathBuf,
    account_public_key: PathBuf,
}

impl Certificates {
    /// Takes those in the folder, or makes them.
    pub(super) fn in_folder(folder: &Path) -> Result<Self> {
        create_passable(folder)?;
        let file = |name: &str| folder.join(name);
        let files = Self {
            ca: file("ca.crt"),
            server: file("server.crt"),
            server_key: file("server.key"),
            account_key: file("service-account.key"),
            account_public_key: file("service-account.pub"),
        };
        // The last one to be written.
        if !files.account_public_key.exists() {
            files.make()?;
        }
        Ok(files)
    }

    fn make(&self) -> Result<()> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name
            .push(DnType::CommonName, "arxiv-operator testbed");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let ca_key = KeyPair::generate()?;
        fs::write(&self.ca, ca.self_signed(&ca_key)?.pem())?;

        let mut server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let certificate = server.signed_by(&server_key, &Issuer::new(ca, ca_key))?;
        fs::write(&self.server, certificate.pem())?;
        write_private(&self.server_key, &server_key.serialize_pem())?;
        let account_key = KeyPair::generate()?;
        write_private(&self.account_key, &account_key.serialize_pem())?;
        fs::write(&self.account_public_key, account_key.public_key_pem())?;
        Ok(())
    }

    pub(super) fn ca(&self) -> &Path {
        &self.ca
    }

    pub(super) fn server(&self) -> &Path {
        &self.server
    }

    pub(super) fn server_key(&self) -> &Path {
        &self.server_key
    }

    pub(super) fn account_key(&self) -> &Path {
        &self.account_key
    }

    pub(super) fn account_public_key(&self) -> &Path {
        &self.account_public_key
    }
}
