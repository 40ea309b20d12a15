//! Against a real PostgreSQL: what is read, what is found to have changed, and what a session answers.

#[path = "../../../../store/src/postgres/tests/server.rs"]
pub(crate) mod server;

mod labels;
mod reading;
mod keeping;
mod binding;
mod hostile;
mod properties;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use postgres::config::{Proofs, Secret, Upstream, UpstreamTls};
use postgres::hold::Onward;
use postgres::parse::{Text, Version};
use sql::{Classifier, Statement};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use self::server::Server;
use super::{ColumnLabel, LOOK, Picture, Pictures, SessionNames, Source};

/// One server for all tests that run at the same time; it ends with the last of them.
pub(crate) fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    // The server ends with the thread that started it, which a test's does when the test is over.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tell.send(Arc::new(Server::start())).unwrap();
        loop {
            std::thread::park();
        }
    });
    let server = told.recv().unwrap();
    *shared = Arc::downgrade(&server);
    server
}

/// A database of a test's own, filled by a script.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) name: &'static str,
}

impl Database {
    pub(crate) fn new(name: &'static str, script: &str) -> Self {
        let server = server();
        server.database(name);
        server.sql(name, script);
        Self { server, name }
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        self.server.sql(self.name, statement)
    }

    pub(crate) fn source(&self) -> Source {
        self.source_as("postgres")
    }

    pub(crate) fn source_as(&self, user: &str) -> Source {
        let text = |text: &str| Text::read(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let upstream = Upstream {
            host: "127.0.0.1".to_owned(),
            port: self.server.port(),
            tls: UpstreamTls::Loopback,
            proofs: Proofs { md5: false, none: true },
            version: Version::V3_0,
        };
        Source::new(Onward {
            upstream: Arc::new(upstream),
            user: text(user),
            database: text(self.name),
            password: Secret::new(Vec::new()),
        })
    }

    pub(crate) async fn pictures(&self) -> Pictures {
        self.pictures_with(Vec::new()).await
    }

    pub(crate) async fn pictures_with(&self, labels: Vec<ColumnLabel>) -> Pictures {
        Pictures::load(self.source(), labels).await.unwrap()
    }

    /// A client's session at the server itself.
    pub(crate) async fn session(&self) -> Session {
        let url = format!("postgres://postgres@127.0.0.1:{}/{}", self.server.port(), self.name);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Session { client }
    }
}

pub(crate) struct Session {
    pub(crate) client: tokio_postgres::Client,
}

impl Session {
    pub(crate) async fn run(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }

    /// The rows that a question brings, as the gate hands them on.
    pub(crate) async fn rows(&self, text: &str) -> Vec<Vec<Option<Bytes>>> {
        let answer = self.client.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let row = |message: SimpleQueryMessage| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            Some(
                (0..row.len())
                    .map(|place| row.get(place).map(|v| Bytes::copy_from_slice(v.as_bytes())))
                    .collect(),
            )
        };
        answer.into_iter().filter_map(row).collect()
    }

    pub(crate) async fn names(&self) -> SessionNames {
        SessionNames::read(&self.rows(&LOOK).await).unwrap()
    }
}

/// A picture, waiting for one at most ten seconds.
pub(crate) async fn fresh(pictures: &Pictures) -> Arc<Picture> {
    pictures.fresh(Duration::from_secs(10)).await.expect("a picture")
}

pub(crate) fn classify(picture: &Picture, names: &SessionNames, text: &str) -> Statement {
    let catalog = picture.of_session(names);
    Classifier::default().classify(text.as_bytes(), true, &catalog).statements.remove(0)
}

/// A statement's atoms: verb, name, and what is told of them.
pub(crate) fn told(statement: &Statement) -> Vec<String> {
    let one = |atom: &sql::Atom| {
        let mut line = format!("{} {} {:?}", atom.verb, atom.object.full_name(), atom.object.found);
        for (is, word) in [(atom.triggers, " triggers"), (atom.rules, " rules"), (atom.cascades, " cascades")]
        {
            line.push_str(if is { word } else { "" });
        }
        if !atom.classes.is_empty() {
            line.push_str(&format!(" {:?}", atom.classes));
        }
        line
    };
    let opaque = statement.opaque.iter().map(|why| format!("OPAQUE {why}"));
    statement.atoms.iter().map(one).chain(opaque).collect()
}

pub(crate) fn no_settings() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// A shop with one of everything that fires.
pub(crate) const SHOP: &str = r#"
CREATE TABLE customers (id int PRIMARY KEY, name text, card text, email text);
COMMENT ON COLUMN customers.name IS 'As on the passport (countersign: pii). Never shown.';
COMMENT ON COLUMN customers.card IS 'countersign: PII, payment';
COMMENT ON COLUMN customers.email IS 'countersign: p i i';
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE ON UPDATE SET NULL, total numeric);
CREATE TABLE notes (id int, text text);
CREATE TABLE gone (id int, at timestamptz DEFAULT now());
CREATE TABLE months (id int, month int) PARTITION BY RANGE (month);
CREATE TABLE months_1 PARTITION OF months FOR VALUES FROM (1) TO (2);
CREATE TABLE months_2 PARTITION OF months FOR VALUES FROM (2) TO (3);
CREATE VIEW names AS SELECT c.name, upper(c.name) AS loud FROM customers c;
CREATE VIEW names_of_names AS SELECT name FROM names;
CREATE RULE sweep AS ON UPDATE TO notes DO INSTEAD DELETE FROM gone;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE FUNCTION reckon(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION plain(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
COMMENT ON FUNCTION plain(int) IS 'countersign: trusted';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE OPERATOR ==== (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_advisory_lock);
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE DOMAIN checked AS int CHECK (reckon(VALUE) = 1);
CREATE TABLE careful (id int DEFAULT reckon(1), what checked);
"#;
