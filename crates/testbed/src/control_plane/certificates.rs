//! A private certificate authority, the API server's certificate, and the key that signs `ServiceAccount` tokens.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::temp_dir::{create_passable, write_private};

/// The files, in one folder. Tokens stay valid when the folder is used again.
#[derive(Debug)]
pub(super) struct Certificates {
    ca: PathBuf,
    server: PathBuf,
    server_key: PathBuf,
    front_proxy: PathBuf,
    front_proxy_key: PathBuf,
    account_key: PathBuf,
    account_public_key: PathBuf,
}

impl Certificates {
    /// Uses those in the folder, or creates them, for loopback and for the node's address if there is a node.
    pub(super) fn in_folder(folder: &Path, node: Option<Ipv4Addr>) -> Result<Self> {
        create_passable(folder)?;
        let file = |name: &str| folder.join(name);
        let files = Self {
            ca: file("ca.crt"),
            server: file("server.crt"),
            server_key: file("server.key"),
            front_proxy: file("front-proxy.crt"),
            front_proxy_key: file("front-proxy.key"),
            account_key: file("service-account.key"),
            account_public_key: file("service-account.pub"),
        };
        // It is written last.
        if !files.account_public_key.exists() {
            files.make(node)?;
        }
        Ok(files)
    }

    fn make(&self, node: Option<Ipv4Addr>) -> Result<()> {
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

        let authority = Issuer::new(ca, ca_key);

        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        if let Some(address) = node {
            // How pods address it: by the first address of the Services' network, or by name.
            names.extend([
                address.to_string(),
                "10.0.0.1".into(),
                "kubernetes.default.svc".into(),
            ]);
        }
        issue(
            &authority,
            "kube-apiserver",
            names,
            ExtendedKeyUsagePurpose::ServerAuth,
            (&self.server, &self.server_key),
        )?;
        issue(
            &authority,
            "front-proxy",
            Vec::new(),
            ExtendedKeyUsagePurpose::ClientAuth,
            (&self.front_proxy, &self.front_proxy_key),
        )?;
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

    /// The certificate by which aggregated API servers identify the API server.
    pub(super) fn front_proxy(&self) -> &Path {
        &self.front_proxy
    }

    pub(super) fn front_proxy_key(&self) -> &Path {
        &self.front_proxy_key
    }

    pub(super) fn account_key(&self) -> &Path {
        &self.account_key
    }

    pub(super) fn account_public_key(&self) -> &Path {
        &self.account_public_key
    }
}

/// Writes a certificate for these names, and its key, into these files.
fn issue(
    authority: &Issuer<'_, KeyPair>,
    owner: &str,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    (certificate, key): (&Path, &Path),
) -> Result<()> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, owner);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    let pair = KeyPair::generate()?;
    fs::write(certificate, parameters.signed_by(&pair, authority)?.pem())?;
    write_private(key, &pair.serialize_pem())
}
