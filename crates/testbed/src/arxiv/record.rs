//! The record of requests and connections.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// When its head had arrived.
    #[serde(skip)]
    pub at: Instant,
    /// The same as wall-clock time.
    pub time: Timestamp,
    /// Path and query as received.
    pub target: String,
    /// The decoded `search_query`.
    pub search_query: String,
    /// The decoded `id_list`.
    pub id_list: String,
    /// `start` (0 when it is not given).
    pub start: u32,
    /// `max_results` (10 when it is not given).
    pub max_results: u32,
    /// Connections open at that time, including this one.
    pub open: usize,
    /// The number of its connection, counted from 1.
    pub connection: u64,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// How it is answered; nothing for requests that are no search.
    pub answer: Option<super::Behaviour>,
}

/// A connection. Those that only use `/_control` or `/_record` do not count.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// When it was accepted.
    pub opened: Instant,
    /// When it was closed, if it is.
    pub closed: Option<Instant>,
    control: bool,
}

/// The record of one server.
#[derive(Debug, Default)]
pub(super) struct Record {
    requests: Vec<Request>,
    connections: BTreeMap<u64, Connection>,
    last_connection: u64,
    /// Open connections of clients.
    open: usize,
}

impl Record {
    /// Records a new connection and returns its number.
    pub(super) fn opened(&mut self) -> u64 {
        self.last_connection += 1;
        let connection = Connection {
            opened: Instant::now(),
            closed: None,
            control: false,
        };
        self.connections.insert(self.last_connection, connection);
        self.open += 1;
        self.last_connection
    }

    pub(super) fn closed(&mut self, connection: u64) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.closed = Some(Instant::now());
            self.open -= usize::from(!connection.control);
        }
    }

    /// Marks a connection as one that only controls the server.
    pub(super) fn is_control(&mut self, connection: u64) {
        if let Some(connection) = self.connections.get_mut(&connection)
            && !connection.control
        {
            connection.control = true;
            self.open -= 1;
        }
    }

    pub(super) fn add(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// Records how the last request over a connection is answered.
    pub(super) fn answered(&mut self, connection: u64, behaviour: &super::Behaviour) {
        let mut last_first = self.requests.iter_mut().rev();
        if let Some(request) = last_first.find(|request| request.connection == connection) {
            request.answer = Some(behaviour.clone());
        }
    }

    /// Connections of clients by number, in order.
    pub(super) fn connections(&self) -> impl Iterator<Item = (u64, Connection)> {
        let all = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.control);
        all.map(|(number, connection)| (*number, *connection))
    }

    pub(super) fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// The most connections open at one time.
    pub(super) fn max_open(&self) -> usize {
        let mut changes: Vec<(Instant, bool)> = Vec::new();
        for connection in self.clients() {
            changes.push((connection.opened, true));
            changes.extend(connection.closed.map(|closed| (closed, false)));
        }
        // At the same instant a close comes before an open.
        changes.sort_unstable();
        let (mut open, mut most) = (0_usize, 0);
        for (_, opens) in changes {
            open = if opens { open + 1 } else { open.saturating_sub(1) };
            most = most.max(open);
        }
        most
    }

    /// The shortest time between one request and the next.
    pub(super) fn min_spacing(&self) -> Option<Duration> {
        self.requests
            .windows(2)
            .map(|pair| pair[1].at.saturating_duration_since(pair[0].at))
            .min()
    }

    /// Removes everything except open connections.
    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.connections
            .retain(|_, connection| connection.closed.is_none());
    }

    fn clients(&self) -> impl Iterator<Item = &Connection> {
        self.connections.values().filter(|connection| !connection.control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_open_excludes_control_connections() {
        let mut record = Record::default();
        let (first, control) = (record.opened(), record.opened());
        record.is_control(control);
        assert_eq!((record.open(), record.max_open()), (1, 1));
        record.closed(first);
        let (_second, third) = (record.opened(), record.opened());
        record.closed(third);
        assert_eq!((record.open(), record.max_open()), (1, 2));
        record.clear();
        assert_eq!((record.open(), record.max_open()), (1, 1));
    }
}
