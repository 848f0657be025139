//! What receivers get: with the reference libraries of both standards, and receivers that do not behave.
#![allow(clippy::unwrap_used)]

mod libraries;
mod misbehaviour;

use std::{path::Path, sync::Once};

use jiff::Timestamp;
use paper::{Author, PaperId, PaperVersion};
use webhooks::{Event, EventFeed, EventItem, Networks, Secrets, Sender};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const LOOPBACK: &str = "127.0.0.0/8";
const ID: &str = "7b2d8a0c-1f5e-4c64-9a7e-000000000001";

/// A sender that may reach these networks.
fn sender(networks: &str, ca_bundle: Option<&Path>) -> Sender {
    static CRYPTO: Once = Once::new();
    CRYPTO.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    Sender::new(networks.parse::<Networks>().unwrap(), ca_bundle).unwrap()
}

fn secrets() -> Secrets {
    Secrets::parse(SECRET).unwrap()
}

fn time() -> Timestamp {
    "2026-03-02T05:17:09Z".parse().unwrap()
}

fn items() -> Vec<EventItem> {
    let paper = |n: u16| PaperVersion {
        id: PaperId::of_entry(&format!("2403.0000{n}v1")),
        title: format!("Árvíztűrő graphs of girth {n} \u{1f33b}"),
        authors: vec![Author {
            name: "Donald E. Knuth".to_owned(),
            affiliations: Vec::new(),
        }],
        abstract_text: "We show that $a < b$ & \"c\".".to_owned(),
        categories: vec!["math.CO".to_owned()],
        ..PaperVersion::default()
    };
    let item = |n: u16| EventItem {
        position: i64::from(n),
        added: time(),
        paper: paper(n),
    };
    (1..=3).map(item).collect()
}

fn body(items: &[EventItem]) -> Vec<u8> {
    let event = Event {
        id: ID,
        time: time(),
        feed: EventFeed {
            namespace: "papers",
            name: "knuth",
            search: "au:knuth",
        },
        items,
    };
    event.body().unwrap()
}
